# SPDX-License-Identifier: Apache-2.0
"""Smart Turn v3 (ONNX, audio only): has the speaker finished the sentence?

Input as in pipecat's ``LocalSmartTurnAnalyzerV3`` (BSD-2): the last 8 s, silence in front when
there is less, zero mean and unit variance, Whisper's log-mel spectrogram.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import int16_to_float
from va_common.errors import AssistantError, ErrorCode
from va_stt.blocks import Int16, RATE

WINDOW_S = 8
SAMPLES = WINDOW_S * RATE
N_FFT = 400
HOP = 160
MELS = 80
FLOOR = 1e-10


class SmartTurn:
    """Judges whether what was said is complete.

    Args:
        path: ``smart-turn-v3.2-cpu.onnx``.
        threads: of onnxruntime.

    Raises:
        AssistantError: ENGINE_FAILED when the model cannot be loaded.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider'])
        except Exception as error:
            message = f'smart turn {path}: cannot be loaded ({error})'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error
        self._filters = mel_filters()

    def probability(self, samples: Int16) -> float:
        """Probability, 0 to 1, that the turn in ``samples`` (n,) int16 is complete."""
        features = log_mel(last_seconds(int16_to_float(samples)), self._filters)
        (output,) = self._session.run(None, {'input_features': features[np.newaxis]})
        return float(np.ravel(output)[0])


def last_seconds(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last 8 s of a sound (n,), float32; silence in front when it is shorter."""
    sound = sound[-SAMPLES:]
    return np.pad(sound, (SAMPLES - len(sound), 0))


def log_mel(sound: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """Whisper's log-mel features of exactly 8 s.

    Args:
        sound: (128000,), float32.
        filters: (201, 80), from :func:`mel_filters`.

    Returns:
        (80, 800), float32, about -1 to 1.
    """
    sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    padded = np.pad(sound, N_FFT // 2, mode='reflect')
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][:-1]
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2
    mel = np.log10(np.maximum(filters.T @ power.T, FLOOR))
    mel = np.maximum(mel, mel.max() - 8.0)
    return np.asarray((mel + 4.0) / 4.0, np.float32)


def mel_filters() -> NDArray[np.float64]:
    """Slaney-normalised triangular filters, (201, 80), 0 to 8000 Hz (as librosa makes them)."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(RATE / 2), MELS + 2))
    bins = np.linspace(0, RATE / 2, N_FFT // 2 + 1)
    slopes = edges[np.newaxis] - bins[:, np.newaxis]
    widths = np.diff(edges)
    rising = -slopes[:, :-2] / widths[:-1]
    falling = slopes[:, 2:] / widths[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(weights * (2.0 / (edges[2:] - edges[:-2])), np.float64)


def _hz_to_mel(hz: float) -> float:
    if hz < 1000.0:
        return 3.0 * hz / 200.0
    return float(15.0 + np.log(hz / 1000.0) * 27.0 / np.log(6.4))


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    hz = 200.0 * mel / 3.0
    high = mel >= 15.0
    hz[high] = 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel[high] - 15.0))
    return hz
