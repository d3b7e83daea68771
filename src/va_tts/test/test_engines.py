# SPDX-License-Identifier: Apache-2.0
"""The choice of engine, the real onnx engine, and how the torch engine calls its library."""

from collections.abc import Iterator
from pathlib import Path
import shutil
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from va_common.audio_io import level_dbfs
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import ModelMissingError, models_dir, sha256_of
from va_common.testing import own_memory_mb, wait_for
from va_tts import kokoro_client, kokoro_torch_engine
from va_tts.kokoro_client import choose_engine, load_engine, Voices, voices_dir
from va_tts.kokoro_onnx_engine import KokoroOnnxEngine
from va_tts.kokoro_torch_engine import KokoroTorchEngine
from va_tts.model_cache import _sums, ModelCache
from va_tts.synthesis import Job, Synthesiser


@pytest.mark.parametrize('setting, profile, name', [
    ('auto', 'cpu', 'onnx'), ('auto', 'cuda', 'torch'), ('onnx', 'cuda', 'onnx'),
    ('torch', 'cpu', 'torch'),
])
def test_choice(setting: str, profile: str, name: str) -> None:
    choice = choose_engine(setting, profile)
    assert choice.name == name
    assert choice.reason


def test_unknown_engine() -> None:
    with pytest.raises(AssistantError, match="engine 'espeak': expected auto, onnx or torch"):
        choose_engine('espeak', 'cpu')


def test_every_voice_is_a_voice() -> None:
    voices = Voices(voices_dir(''))
    assert 'af_heart' in voices.names()
    for name in voices.names():
        assert voices.style(name).shape == kokoro_client.VOICE_SHAPE
        assert kokoro_client.language_of(name) in kokoro_client.LANGUAGES.values()


@pytest.mark.parametrize('name', ['', 'nobody', '../kokoro-voices/af_heart', 'af_heart.bin'])
def test_unknown_voice(name: str) -> None:
    with pytest.raises(AssistantError, match='expected one of af_') as raised:
        Voices(voices_dir('')).style(name)
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT


def test_voice_file_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / 'af_half.bin').write_bytes(b'1234' * 10)
    with pytest.raises(AssistantError, match='10 numbers, expected 130560'):
        Voices(tmp_path).style('af_half')


# onnx, for real


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('cache') / 'tts'


def load(cache: Path) -> KokoroOnnxEngine:
    choice = choose_engine('onnx', 'cpu')
    model_sum = sha256_of(kokoro_client.model_file(choice, ''))
    loaded = load_engine(choice, '', 'cpu', 2, cache, model_sum)
    assert isinstance(loaded, KokoroOnnxEngine)
    return loaded


@pytest.fixture(scope='module')
def engine(cache: Path) -> Iterator[KokoroOnnxEngine]:
    load(cache).close()  # keeps the optimised model
    loaded = load(cache)  # takes it
    yield loaded
    loaded.close()


def test_the_kept_model_speaks_as_the_original_does(
        engine: KokoroOnnxEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(engine._session._model_path).name == 'model.onnx', 'it was not taken'
    monkeypatch.setattr(ModelCache, 'fill', lambda *_: None)
    original = load(tmp_path)
    assert Path(original._session._model_path).name == 'kokoro-v1.0.int8.onnx'
    for voice, speed in (('af_heart', 1.0), ('bm_george', 1.3)):
        words = 'The quick brown fox jumps.', voice, speed
        assert np.abs(engine.synthesise(*words) - original.synthesise(*words)).max() < 1e-4


def test_a_kept_model_that_the_library_refuses_is_made_again(
        engine: KokoroOnnxEngine, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / 'tts'
    shutil.copytree(cache, other)
    copy = next(other.glob('model-*'))
    (copy / 'model.onnx').write_bytes(b'made by a library that has another format')
    (copy / 'sha256').write_text(_sums(copy))
    assert len(load(other).synthesise('Hi', 'af_heart', 1.0))
    assert (copy / 'model.onnx').read_bytes() == next(cache.glob('*/model.onnx')).read_bytes()


def test_speech(engine: KokoroOnnxEngine) -> None:
    sound = engine.synthesise('Hi, Master!', 'af_heart', 1.0)
    assert sound.dtype == np.float32
    assert 1.0 < len(sound) / kokoro_client.SAMPLE_RATE < 2.5
    assert -32 < level_dbfs(sound) < -15
    assert np.abs(sound).max() < 1.0


def test_what_a_long_piece_took_is_given_back(engine: KokoroOnnxEngine) -> None:
    engine.synthesise('Hi, Master!', 'af_heart', 1.0)
    before_mb = own_memory_mb()
    engine.synthesise('The weather is fine today, and so it was yesterday. ' * 2, 'af_heart', 1.0)
    assert own_memory_mb() - before_mb < 60.0


def test_trimmed_speech_is_most_of_it_speech(engine: KokoroOnnxEngine) -> None:
    synthesiser = Synthesiser(engine)
    sound = synthesiser.now(Job('Hi, Master!', 'af_heart', 1.0), 60.0)
    assert 0.7 < len(sound) / kokoro_client.SAMPLE_RATE < 1.2


@pytest.mark.parametrize('text', ['', ' ', '...', '?!'])
def test_nothing_to_say(engine: KokoroOnnxEngine, text: str) -> None:
    assert len(engine.synthesise(text, 'af_heart', 1.0)) == 0


@pytest.mark.parametrize('voice, speed', [('nobody', 1.0), ('af_heart', 0.1), ('af_heart', 9.0)])
def test_bad_arguments(engine: KokoroOnnxEngine, voice: str, speed: float) -> None:
    with pytest.raises(AssistantError) as raised:
        engine.synthesise('Hi', voice, speed)
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT


def test_abort_ends_a_long_synthesis(engine: KokoroOnnxEngine) -> None:
    results: list[AssistantError] = []

    def run() -> None:
        with pytest.raises(AssistantError) as raised:
            engine.synthesise('The weather is fine today. ' * 15, 'af_heart', 1.0)
        results.append(raised.value)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: engine.abort() or results, 10.0, 'the synthesis was aborted')
    thread.join(5.0)
    assert results[0].code == ErrorCode.CANCELLED
    assert len(engine.synthesise('Hi', 'af_heart', 1.0)), 'the next one is not aborted'


def test_error_does_not_quote_the_text(engine: KokoroOnnxEngine,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str, *_: object, **__: object) -> None:
        raise ValueError(f'cannot say {text}')

    monkeypatch.setattr(engine._kokoro, 'create', fail)
    with pytest.raises(AssistantError) as raised:
        engine.synthesise('secret', 'af_heart', 1.0)
    assert raised.value.code == ErrorCode.ENGINE_FAILED
    assert raised.value.message == 'Kokoro failed on 6 characters: ValueError'


def test_missing_model_names_the_file_and_the_command(tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('VA_MODELS_DIR', str(tmp_path))
    with pytest.raises(ModelMissingError, match=r'\./va models kokoro'):
        load_engine(choose_engine('onnx', 'cpu'), '', 'cpu', 2, tmp_path, 'sum')


def test_damaged_model_is_said_to_be_damaged(tmp_path: Path) -> None:
    folder = tmp_path / 'kokoro-onnx'
    folder.mkdir()
    original = models_dir() / 'kokoro-onnx' / 'kokoro-v1.0.int8.onnx'
    damaged = folder / original.name
    with damaged.open('wb') as file:
        file.truncate(original.stat().st_size)
    with pytest.raises(ModelMissingError, match='sha256'):
        KokoroOnnxEngine(damaged, Voices(voices_dir('')), 2, tmp_path / 'cache', 'sum')
    assert not list((tmp_path / 'cache').iterdir()), 'a copy of a damaged model was kept'


# torch: the library is not here, so its interface is stood in for


class FakeTensor:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def cpu(self) -> 'FakeTensor':
        return self

    def numpy(self) -> np.ndarray:
        return self.values


class FakeKokoro:
    """KModel and KPipeline of kokoro 0.9.4, as far as the engine uses them."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def KModel(self, repo_id: str | None = None, config: str | None = None,
               model: str | None = None) -> SimpleNamespace:
        self.calls.append(('KModel', repo_id, config, model))
        loaded = SimpleNamespace()
        loaded.to = lambda device: self.calls.append(('to', device)) or loaded
        loaded.eval = lambda: loaded
        return loaded

    def KPipeline(self, lang_code: str, repo_id: str | None = None,
                  model: object = True) -> object:
        self.calls.append(('KPipeline', lang_code, model is not True))

        def pipeline(text: str, voice: object = None, speed: float = 1,
                     split_pattern: str | None = r'\n+') -> Iterator[SimpleNamespace]:
            if text == 'fail':
                raise RuntimeError(f'cannot say {text}')
            self.calls.append(('speak', type(voice).__name__, speed, split_pattern))
            yield SimpleNamespace(audio=FakeTensor(np.ones(10)))
            yield SimpleNamespace(audio=None)
            yield SimpleNamespace(audio=FakeTensor(np.ones(5)))

        return pipeline


@pytest.fixture
def kokoro(monkeypatch: pytest.MonkeyPatch) -> FakeKokoro:
    fake = FakeKokoro()
    torch = ModuleType('torch')
    torch.cuda = SimpleNamespace(is_available=lambda: True, empty_cache=lambda: None)
    torch.from_numpy = FakeTensor
    monkeypatch.setattr(kokoro_torch_engine, '_libraries', lambda device: (torch, fake))
    monkeypatch.setattr(kokoro_torch_engine, '_require_spacy_model', lambda: None)
    monkeypatch.setattr(
        kokoro_torch_engine, 'model_path', lambda model, file, root: root / model / file)
    return fake


def test_torch_engine(kokoro: FakeKokoro, tmp_path: Path) -> None:
    engine = KokoroTorchEngine(tmp_path, Voices(voices_dir('')), 'cuda')
    sound = engine.synthesise('Hi', 'af_heart', 1.5)
    engine.synthesise('Hi', 'af_heart', 1.0)
    engine.close()
    assert sound.dtype == np.float32 and len(sound) == 15
    folder = tmp_path / 'kokoro-torch'
    assert kokoro.calls == [
        ('KModel', 'hexgrad/Kokoro-82M', str(folder / 'config.json'),
         str(folder / 'kokoro-v1_0.pth')),
        ('to', 'cuda'),
        ('KPipeline', 'a', True),
        ('speak', 'FakeTensor', 1.5, None),
        ('speak', 'FakeTensor', 1.0, None),
    ]


def test_torch_engine_does_not_quote_the_text(kokoro: FakeKokoro, tmp_path: Path) -> None:
    engine = KokoroTorchEngine(tmp_path, Voices(voices_dir('')), 'cuda')
    with pytest.raises(AssistantError, match=r'^Kokoro failed on 4 characters: RuntimeError$'):
        engine.synthesise('fail', 'af_heart', 1.0)


def test_torch_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'torch', None)
    monkeypatch.setattr(kokoro_torch_engine.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(AssistantError, match='engine=onnx') as raised:
        kokoro_torch_engine._libraries('cuda')
    assert raised.value.code == ErrorCode.UNAVAILABLE
