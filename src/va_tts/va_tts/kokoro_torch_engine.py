# SPDX-License-Identifier: Apache-2.0
"""Kokoro with torch (the library kokoro 0.9.4), for the cuda profile."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import check_deep, model_path
from va_tts.kokoro_client import check_speed, Voices

REPOSITORY = 'hexgrad/Kokoro-82M'
"""Named so that the library does not warn; with config and model given it downloads nothing."""
_ENGLISH = 'ab'
_SPACY_MODEL = 'en_core_web_sm'
_MODEL_ID = 'kokoro-torch'


class KokoroTorchEngine:
    """A loaded model; see :class:`va_tts.kokoro_client.Engine`.

    Args:
        models: folder of all models.
        device: ``cuda`` or ``cpu``.

    Raises:
        ModelMissingError: weights or configuration are not there, or damaged.
        AssistantError: UNAVAILABLE when torch or kokoro is not installed or there is no CUDA
            device, ENGINE_FAILED when loading fails.
    """

    name = 'torch'

    def __init__(self, models: Path, voices: Voices, device: str) -> None:
        self._voices = voices
        self._packs: dict[str, Any] = {}
        self._pipelines: dict[str, Any] = {}
        config = model_path(_MODEL_ID, 'config.json', root=models)
        weights = model_path(_MODEL_ID, 'kokoro-v1_0.pth', root=models)
        self._torch, self._kokoro = _libraries(device)
        try:
            model = self._kokoro.KModel(
                repo_id=REPOSITORY, config=str(config), model=str(weights))
            self._model: Any = model.to(device).eval()
        except Exception as error:
            check_deep(_MODEL_ID, root=models)
            message = f'model {weights} cannot be loaded on {device}: {error}'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error

    def synthesise(self, text: str, voice: str, speed: float) -> Float32:
        """See :meth:`va_tts.kokoro_client.Engine.synthesise`."""
        check_speed(speed)
        pack = self._pack(voice)
        pipeline = self._pipeline(voice[:1])
        try:
            parts = [np.asarray(result.audio.cpu().numpy(), np.float32).ravel()
                     for result in pipeline(text, voice=pack, speed=speed, split_pattern=None)
                     if result.audio is not None]
        except Exception as error:
            # Messages of the library quote the text, which is personal data: only the type.
            message = f'Kokoro failed on {len(text)} characters: {type(error).__name__}'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from None
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def abort(self) -> None:
        """Nothing: a piece takes some 50 ms on a GPU, and torch cannot be stopped inside one."""

    def close(self) -> None:
        """Give the video memory back."""
        self._pipelines.clear()
        self._packs.clear()
        self._model = None
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()

    def _pack(self, voice: str) -> Any:
        """The voice as the library wants it: a FloatTensor (510, 1, 256) on the CPU."""
        if voice not in self._packs:
            self._packs[voice] = self._torch.from_numpy(self._voices.style(voice).copy())
        return self._packs[voice]

    def _pipeline(self, language: str) -> Any:
        """One per language, all on the one model."""
        if language not in self._pipelines:
            if language in _ENGLISH:
                _require_spacy_model()
            self._pipelines[language] = self._kokoro.KPipeline(
                lang_code=language, repo_id=REPOSITORY, model=self._model)
        return self._pipelines[language]


def _libraries(device: str) -> tuple[Any, Any]:
    for name in ('torch', 'kokoro'):
        if importlib.util.find_spec(name) is None:
            message = f'{name} is not installed: run ./va setup --cuda, or set [tts] engine=onnx'
            raise AssistantError(ErrorCode.UNAVAILABLE, message)
    import kokoro  # type: ignore[import-not-found,unused-ignore]
    import torch  # type: ignore[import-not-found,unused-ignore]

    if device == 'cuda' and not torch.cuda.is_available():
        message = 'profile cuda: torch finds no CUDA device; set [system] profile=cpu'
        raise AssistantError(ErrorCode.UNAVAILABLE, message)
    return torch, kokoro


def _require_spacy_model() -> None:
    """misaki, which reads English for Kokoro, would download it at run time."""
    import spacy.util  # type: ignore[import-not-found,unused-ignore]

    if not spacy.util.is_package(_SPACY_MODEL):
        message = f'spaCy model {_SPACY_MODEL} is not installed: run ./va setup --cuda'
        raise AssistantError(ErrorCode.MODEL_MISSING, message)
