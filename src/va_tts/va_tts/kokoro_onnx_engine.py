# SPDX-License-Identifier: Apache-2.0
"""Kokoro int8 on the CPU with the library kokoro-onnx."""

from __future__ import annotations

import logging
from pathlib import Path
import tempfile
from typing import Any

import kokoro_onnx
import numpy as np
import onnxruntime

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import check_deep
from va_tts.kokoro_client import check_speed, language_of, Voices

MODEL_ID = 'kokoro-onnx'

# At DEBUG it prints the phonemes of what is said, which are personal data.
logging.getLogger('kokoro_onnx').setLevel(logging.WARNING)


class KokoroOnnxEngine:
    """A loaded model; see :class:`va_tts.kokoro_client.Engine`.

    Raises:
        ModelMissingError: the model cannot be loaded because its file is damaged.
        AssistantError: ENGINE_FAILED when it cannot be loaded for another reason.
    """

    name = 'onnx'

    def __init__(self, model: Path, voices: Voices, threads: int) -> None:
        self._voices = voices
        self._session = _AbortableSession(_open_session(model, threads))
        self._kokoro: Any = _open_library(self._session)

    def synthesise(self, text: str, voice: str, speed: float) -> Float32:
        """See :meth:`va_tts.kokoro_client.Engine.synthesise`."""
        check_speed(speed)
        style = self._voices.style(voice)
        language = language_of(voice)
        self._session.arm()
        try:
            phonemes = self._kokoro.tokenizer.phonemize(text, language)
            if not any(map(str.isalpha, phonemes)):
                return np.zeros(0, np.float32)
            sound, _ = self._kokoro.create(
                phonemes, style, speed, language, is_phonemes=True, trim=False)
        except AssistantError:
            raise
        except Exception as error:
            raise self._failure(error, len(text)) from None
        return np.ascontiguousarray(sound, np.float32)

    def abort(self) -> None:
        """End a running inference within some 10 ms."""
        self._session.abort()

    def close(self) -> None:
        """Let go of the model."""
        self._kokoro = None

    def _failure(self, error: Exception, length: int) -> AssistantError:
        if self._session.aborted:
            return AssistantError(ErrorCode.CANCELLED, 'synthesis aborted')
        # The library's messages quote the text; only onnxruntime's own are safe to pass on.
        detail = f': {error}' if type(error).__module__.startswith('onnxruntime') else ''
        message = f'Kokoro failed on {length} characters: {type(error).__name__}{detail}'
        return AssistantError(ErrorCode.ENGINE_FAILED, message)


class _AbortableSession:
    """The part of InferenceSession that kokoro-onnx uses, with a way to end a run from outside."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._model_path = session._model_path
        self._options = onnxruntime.RunOptions()
        self.aborted = False

    def arm(self) -> None:
        """Begin a synthesis: an abort from before it does not count."""
        self._options = onnxruntime.RunOptions()
        self.aborted = False

    def abort(self) -> None:
        """End the synthesis that runs."""
        self.aborted = True
        self._options.terminate = True

    def run(self, outputs: Any, feeds: Any) -> Any:
        return self._session.run(outputs, feeds, self._options)

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        return self._session.get_outputs()

    def get_modelmeta(self) -> Any:
        return self._session.get_modelmeta()


def _open_session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the CPU that recognition and the language model need.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return onnxruntime.InferenceSession(
            str(model), options, providers=['CPUExecutionProvider'])
    except Exception as error:
        check_deep(MODEL_ID, root=model.parent.parent)
        message = f'model {model} cannot be loaded: {error}'
        raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error


def _open_library(session: _AbortableSession) -> Any:
    """The library wants a file of voices; ours go with each call, so it gets an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder) / 'none.npz'
        np.savez(voices)
        return kokoro_onnx.Kokoro.from_session(session, str(voices))
