# SPDX-License-Identifier: Apache-2.0
"""Silero VAD (v5/v6, ONNX), one frame of 32 ms at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from va_common.audio_io import int16_to_float
from va_common.errors import AssistantError, ErrorCode
from va_stt.blocks import Int16, RATE

FRAME = 512
CONTEXT = 64


class SileroVad:
    """Voice probability of successive frames; keeps the recurrent state between them.

    Source of the input layout: snakers4/silero-vad, ``OnnxWrapper`` (each frame is preceded by
    the last 64 samples of the one before).

    Args:
        path: ``silero_vad.onnx``.

    Raises:
        AssistantError: ENGINE_FAILED when the file is no Silero VAD v5 or v6.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider'])
        except Exception as error:
            message = f'voice detector {path}: cannot be loaded ({error})'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error
        names = {i.name for i in self._session.get_inputs()}
        if names != {'input', 'state', 'sr'}:
            message = f'voice detector {path}: inputs {sorted(names)}, expected input, sr, state'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message)
        self._rate = np.array(RATE, np.int64)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def probability(self, frame: Int16) -> float:
        """Probability, 0 to 1, that a frame (512,) int16 is voice."""
        sound = int16_to_float(frame)
        inputs = {'input': np.concatenate([self._context, sound])[np.newaxis],
                  'state': self._state, 'sr': self._rate}
        probability, self._state = self._session.run(None, inputs)
        self._context = sound[-CONTEXT:]
        return float(probability[0, 0])
