# SPDX-License-Identifier: Apache-2.0
"""Kokoro, whichever library runs it: what an engine is, which one to take, loading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import model_path, models_dir

SAMPLE_RATE = 24_000
"""Hz of what Kokoro makes."""
SPEEDS = (0.5, 2.0)
VOICE_SHAPE = (510, 1, 256)
"""One style vector per number of phonemes."""

EngineName = Literal['onnx', 'torch']

LANGUAGES = {
    'a': 'en-us', 'b': 'en-gb', 'e': 'es', 'f': 'fr-fr', 'h': 'hi', 'i': 'it', 'j': 'ja',
    'p': 'pt-br', 'z': 'cmn',
}
"""espeak-ng language by the first letter of a voice."""


class Engine(Protocol):
    """A loaded Kokoro. One thread synthesises; ``abort`` may come from any other."""

    name: str
    """``onnx`` or ``torch``."""

    def synthesise(self, text: str, voice: str, speed: float) -> Float32:
        """Speak ``text``: float32 (n,) in [-1, 1] at 24 kHz; empty when it has no sounds.

        Raises:
            AssistantError: INVALID_ARGUMENT for an unknown voice or a speed outside 0.5 to 2.0,
                CANCELLED after :meth:`abort`, ENGINE_FAILED for anything else.
        """

    def abort(self) -> None:
        """Make a running :meth:`synthesise` raise CANCELLED soon, where the library can."""

    def close(self) -> None:
        """Let go of the model; idempotent."""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine, and why."""

    name: EngineName
    reason: str


def choose_engine(setting: str, profile: str) -> EngineChoice:
    """Pick the engine from ``[tts] engine`` and the profile in force.

    Raises:
        AssistantError: INVALID_ARGUMENT for an unknown setting.
    """
    if setting == 'onnx':
        return EngineChoice('onnx', 'set in the configuration')
    if setting == 'torch':
        return EngineChoice('torch', 'set in the configuration')
    if setting == 'auto':
        name: EngineName = 'torch' if profile == 'cuda' else 'onnx'
        return EngineChoice(name, f'profile {profile}')
    message = f'engine {setting!r}: expected auto, onnx or torch'
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)


def load_engine(choice: EngineChoice, models: str, profile: str, threads: int, cache: Path,
                model_sum: str) -> Engine:
    """Load the engine; its library is imported here and nowhere else.

    Args:
        models: the setting ``[system] models_dir``.
        profile: ``cpu`` or ``cuda``: where torch computes.
        threads: CPU threads at most.
        cache: folder for what makes the next loading faster.
        model_sum: sha256 of the model file.

    Raises:
        ModelMissingError: a file of the model is not there.
        AssistantError: ENGINE_FAILED, UNAVAILABLE when the library is not installed.
    """
    root = models_dir(models)
    voices = Voices(voices_dir(models))
    if choice.name == 'torch':
        from va_tts.kokoro_torch_engine import KokoroTorchEngine

        return KokoroTorchEngine(root, voices, 'cuda' if profile == 'cuda' else 'cpu')
    from va_tts.kokoro_onnx_engine import KokoroOnnxEngine

    return KokoroOnnxEngine(model_file(choice, models), voices, threads, cache, model_sum)


def model_file(choice: EngineChoice, models: str) -> Path:
    """The file with the weights. Raises ModelMissingError."""
    root = models_dir(models)
    if choice.name == 'torch':
        return model_path('kokoro-torch', 'kokoro-v1_0.pth', root=root)
    return model_path('kokoro-onnx', 'kokoro-v1.0.int8.onnx', root=root)


def voices_dir(models: str) -> Path:
    """The folder of the voices. Raises ModelMissingError."""
    return model_path('kokoro-voices', 'af_heart.bin', root=models_dir(models)).parent


def language_of(voice: str) -> str:
    """espeak-ng's name of the language a voice speaks: ``en-us`` for ``af_heart``."""
    return LANGUAGES.get(voice[:1], 'en-us')


class Voices:
    """The voices in a folder, read when first used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, Float32] = {}

    def names(self) -> tuple[str, ...]:
        """All voices, sorted."""
        return tuple(sorted(path.stem for path in self._folder.glob('*.bin')))

    def style(self, name: str) -> Float32:
        """The style vectors of a voice, float32 (510, 1, 256).

        Raises:
            AssistantError: INVALID_ARGUMENT for an unknown voice, MODEL_MISSING for a file that
                is not a voice.
        """
        if name not in self._loaded:
            check_voice(name, self.names())
            self._loaded[name] = self._read(self._folder / f'{name}.bin')
        return self._loaded[name]

    def _read(self, path: Path) -> Float32:
        values = np.fromfile(path, '<f4')
        if values.size != np.prod(VOICE_SHAPE):
            message = f'voice file {path}: {values.size} numbers, expected {np.prod(VOICE_SHAPE)}'
            raise AssistantError(ErrorCode.MODEL_MISSING, message)
        return values.astype(np.float32).reshape(VOICE_SHAPE)


def check_voice(name: str, names: tuple[str, ...]) -> None:
    """Raise AssistantError INVALID_ARGUMENT unless ``name`` is one of ``names``."""
    if name not in names:
        message = f'voice {name!r}: expected one of {", ".join(names)}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)


def check_speed(speed: float) -> None:
    """Raise AssistantError INVALID_ARGUMENT unless ``speed`` is 0.5 to 2.0."""
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        message = f'speed {speed:g}: expected {SPEEDS[0]:g} to {SPEEDS[1]:g}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
