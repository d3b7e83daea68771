# SPDX-License-Identifier: Apache-2.0
"""Sound as numpy arrays: conversion, resampling, a buffer with times, devices by name."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Hz of all sound between nodes."""
CHUNK_S = 0.080
"""Length of a chunk on a topic: openWakeWord's frame."""

Int16 = npt.NDArray[np.int16]
Float32 = npt.NDArray[np.float32]

# Both ends of the float range are representable: -1.0 <-> -32768.
_INT16_SCALE = 32768.0
_SILENCE_DBFS = -120.0


def int16_to_float(samples: Int16) -> Float32:
    """16-bit PCM to float32 in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(_INT16_SCALE)


def float_to_int16(samples: npt.NDArray[np.floating[Any]]) -> Int16:
    """Float in [-1, 1] to 16-bit PCM; what is beyond is clipped."""
    scaled = np.rint(samples * _INT16_SCALE)
    return np.clip(scaled, -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


def to_mono(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean of the channels of an array (frames, channels); (frames,) stays as it is."""
    if samples.ndim == 1:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    mean = samples.mean(axis=1)
    return mean.astype(samples.dtype)


def level_dbfs(samples: npt.NDArray[Any]) -> float:
    """Root mean square level in dB relative to full scale, -120 for digital silence.

    Args:
        samples: int16, or float in [-1, 1]; (n,).
    """
    if samples.size == 0:
        return _SILENCE_DBFS
    scale = _INT16_SCALE if samples.dtype == np.int16 else 1.0
    rms = float(np.sqrt(np.mean(np.square(samples.astype(np.float64) / scale))))
    return max(_SILENCE_DBFS, 20.0 * float(np.log10(max(rms, 1e-12))))


class StreamResampler:
    """Resamples a mono stream block by block (soxr, high quality); passes through equal rates."""

    def __init__(self, from_hz: int, to_hz: int, dtype: str = 'float32') -> None:
        self._resampler = None
        if from_hz != to_hz:
            import soxr

            self._resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype=dtype)

    def process(self, samples: npt.NDArray[Any], last: bool = False) -> npt.NDArray[Any]:
        """The next samples of the output, (m,); ``last`` flushes the filter's tail."""
        if self._resampler is None:
            return samples
        return self._resampler.resample_chunk(samples, last=last)


class TimedBuffer:
    """The newest ``seconds`` of a mono int16 stream, addressed by time. Thread-safe."""

    def __init__(self, seconds: float, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._size = round(seconds * rate)
        # What is held ends at _end; with room for as much again it is moved but once in a while.
        self._samples = np.zeros(2 * self._size, np.int16)
        self._end = 0
        self._count = 0
        self._end_s = 0.0
        self._lock = threading.Lock()

    @property
    def start_s(self) -> float:
        """Time of the oldest sample held, in Unix seconds."""
        with self._lock:
            return self._end_s - self._count / self._rate

    @property
    def end_s(self) -> float:
        """Time just after the newest sample, in Unix seconds."""
        with self._lock:
            return self._end_s

    def append(self, samples: Int16, start_s: float) -> None:
        """Add a block whose first sample is of ``start_s``; a gap before it empties the buffer.

        A jitter of the times below 50 ms is smoothed over: the block follows the one before.
        """
        with self._lock:
            if abs(start_s - self._end_s) > 0.05:
                self._count = 0
            tail = samples[-self._size:]
            keep = min(self._count, self._size - len(tail))
            if self._end + len(tail) > len(self._samples):
                self._samples[:keep] = self._samples[self._end - keep:self._end]
                self._end = keep
            self._samples[self._end:self._end + len(tail)] = tail
            self._end += len(tail)
            self._count = keep + len(tail)
            self._end_s = start_s + len(samples) / self._rate

    def overwrite(self, samples: Int16, start_s: float) -> None:
        """Put other samples where some are held; what is not held is left out."""
        with self._lock:
            first = self._end - round((self._end_s - start_s) * self._rate)
            low = max(self._end - self._count, first)
            high = min(self._end, first + len(samples))
            if high > low:
                self._samples[low:high] = samples[low - first:high - first]

    def read(self, from_s: float, to_s: float) -> Int16:
        """A copy of what is held of [from_s, to_s), int16 (n,); empty when nothing is."""
        with self._lock:
            first = self._end - round((self._end_s - from_s) * self._rate)
            last = self._end - round((self._end_s - to_s) * self._rate)
            low = max(self._end - self._count, first)
            high = min(self._end, last)
            return self._samples[low:high].copy() if high > low else np.zeros(0, np.int16)
