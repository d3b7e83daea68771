# SPDX-License-Identifier: Apache-2.0
"""Loads what the settings ask for; each library is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from va_common.model_catalogue import model_path, models_dir
from va_common.profile import Profile
from va_stt.echo_canceller import EchoCanceller, make_echo_canceller
from va_stt.end_of_turn import EndOfTurn
from va_stt.silero_vad import SileroVad
from va_stt.smart_turn import SmartTurn
from va_stt.two_path import TwoPathCanceller
from va_stt.whisper_cuda import WhisperEngine

VAD_MODEL = ('silero-vad', 'silero_vad.onnx')
SMART_TURN_MODEL = ('smart-turn-v3', 'smart-turn-v3.2-cpu.onnx')

Setting = Callable[[str], Any]


def whisper_model(profile: Profile, model: str, model_cpu: str) -> str:
    """The id in the catalogue, or a path as it was given."""
    chosen = model if profile.name == 'cuda' else model_cpu
    return chosen if '/' in chosen else f'whisper-{chosen}'


def load_whisper(setting: Setting, profile: Profile) -> WhisperEngine:
    """The recogniser, loaded and warm.

    Raises:
        AssistantError: MODEL_MISSING or ENGINE_FAILED, with the reason.
    """
    name = whisper_model(profile, setting('model'), setting('model_cpu'))
    folder = Path(name).expanduser() if '/' in name else model_path(name, root=_root(setting))
    engine = WhisperEngine(folder, profile.name, setting('language'), setting('beam_size'),
                           setting('threads'))
    engine.warm_up()
    return engine


def load_vad(setting: Setting) -> SileroVad:
    """The voice detector.

    Raises:
        AssistantError: MODEL_MISSING or ENGINE_FAILED.
    """
    return SileroVad(model_path(*VAD_MODEL, root=_root(setting)))


def load_end_of_turn(setting: Setting) -> EndOfTurn:
    """What judges the ends of turns by their sound.

    Raises:
        AssistantError: MODEL_MISSING or ENGINE_FAILED.
    """
    smart_turn = SmartTurn(model_path(*SMART_TURN_MODEL, root=_root(setting)))
    return EndOfTurn(smart_turn.probability)


def load_canceller(setting: Setting) -> EchoCanceller:
    """The echo canceller.

    Raises:
        AssistantError: INVALID_ARGUMENT or UNAVAILABLE.
    """
    return make_echo_canceller(
        setting('aec_enabled'), setting('aec_backend'), setting('noise_suppression'))


def load_linear(setting: Setting) -> TwoPathCanceller | None:
    """The canceller for what is transcribed while both speak; None without echo cancelling."""
    return TwoPathCanceller() if setting('aec_enabled') else None


def _root(setting: Setting) -> Path:
    return models_dir(setting('system.models_dir'))
