# SPDX-License-Identifier: Apache-2.0
"""Kokoro int8 on the CPU with the library kokoro-onnx."""

from __future__ import annotations

import logging
from pathlib import Path
import platform
import tempfile
from typing import Any

import kokoro_onnx
import numpy as np
import onnxruntime

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import check_deep
from va_tts.kokoro_client import check_speed, language_of, Voices
from va_tts.model_cache import ModelCache

MODEL_ID = 'kokoro-onnx'
_OPTIMISED, _WEIGHTS = 'model.onnx', 'model.data'
_WEIGHT_BYTES = 1024
"""From this size on a weight is kept beside the graph, from where it is mapped into memory."""

# At DEBUG it prints the phonemes of what is said, which are personal data.
logging.getLogger('kokoro_onnx').setLevel(logging.WARNING)


class KokoroOnnxEngine:
    """A loaded model; see :class:`va_tts.kokoro_client.Engine`.

    Args:
        cache: folder for the optimised model.
        model_sum: sha256 of the model.

    Raises:
        ModelMissingError: the model cannot be loaded because its file is damaged.
        AssistantError: ENGINE_FAILED when it cannot be loaded for another reason.
    """

    name = 'onnx'

    def __init__(self, model: Path, voices: Voices, threads: int, cache: Path,
                 model_sum: str) -> None:
        self._voices = voices
        kept = ModelCache(cache, (model_sum, onnxruntime.__version__, platform.machine()),
                          2 * model.stat().st_size)
        session = _optimised_session(kept, model, threads) or _open_session(model, threads)
        self._session = _AbortableSession(session)
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
        self._options = _run_options()
        self.aborted = False

    def arm(self) -> None:
        """Begin a synthesis: an abort from before it does not count."""
        self._options = _run_options()
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


def _optimised_session(kept: ModelCache, model: Path,
                       threads: int) -> onnxruntime.InferenceSession | None:
    """From the kept copy of the model, or else while keeping one; None when neither works."""
    copy = kept.find()
    if copy is not None:
        options = _options(threads)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return _session(copy / _OPTIMISED, options)
        except Exception:
            kept.drop()  # the next one is made by this library
    return kept.fill(lambda folder: _session(model, _keeping(_options(threads), folder)))


def _keeping(options: onnxruntime.SessionOptions, folder: Path) -> onnxruntime.SessionOptions:
    """Options for a session that also writes its optimised model into a folder."""
    # What is optimised beyond this depends on the kind of CPU.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / _OPTIMISED)
    prefix = 'session.optimized_model_external_initializers_'
    options.add_session_config_entry(f'{prefix}file_name', _WEIGHTS)
    options.add_session_config_entry(f'{prefix}min_size_in_bytes', str(_WEIGHT_BYTES))
    return options


def _open_session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        return _session(model, _options(threads))
    except Exception as error:
        check_deep(MODEL_ID, root=model.parent.parent)
        message = f'model {model} cannot be loaded: {error}'
        raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error


def _session(model: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        str(model), options, providers=['CPUExecutionProvider'])


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the CPU that recognition and the language model need.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return options


def _run_options() -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    # Else the process keeps what the longest piece so far took: 400 MB for 220 characters.
    options.add_run_config_entry('memory.enable_memory_arena_shrinkage', 'cpu:0')
    return options


def _open_library(session: _AbortableSession) -> Any:
    """The library wants a file of voices; ours go with each call, so it gets an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder) / 'none.npz'
        np.savez(voices)
        return kokoro_onnx.Kokoro.from_session(session, str(voices))
