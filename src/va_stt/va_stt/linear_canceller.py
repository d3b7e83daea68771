# SPDX-License-Identifier: Apache-2.0
"""A linear echo canceller for what is transcribed while both speak.

AEC3 removes what its adaptive filter leaves over by suppressing whole bands, and with them the
voice of a person who speaks over the assistant: fine for telling that somebody speaks, hard to
transcribe. This filter only subtracts. It leaves more echo, which Whisper minds less than holes.

Partitioned block frequency-domain Kalman filter with diagonal covariance: G. Enzner, P. Vary,
"Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones",
Signal Processing 86 (2006); partitions as in F. Kuech et al., "State-space architecture of the
partitioned-block-based acoustic echo controller", ICASSP 2014. The near-end speech is its
observation noise, so it hardly adapts while both speak.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_stt.blocks import Int16

BLOCK = 320
PARTITIONS = 30
"""0.6 s: the lead, a speaker delay of up to 0.3 s, and the room."""
TRANSITION = 0.999
"""How much of the room stays the same from block to block."""
FIRST_COVARIANCE = 0.03
FIRST_DECAY = 15.0
"""Partitions over which the expected echo falls to 1/e."""
NOISE_KEPT = 0.8
LEAST_COVARIANCE = 1e-10


class LinearCanceller:
    """Subtracts the echo, block by block of 320 samples."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        bins = BLOCK + 1
        self._far = np.zeros((PARTITIONS, bins), np.complex64)
        self._room = np.zeros((PARTITIONS, bins), np.complex64)
        expected = FIRST_COVARIANCE * np.exp(-np.arange(PARTITIONS) / FIRST_DECAY)
        self._covariance = np.repeat(expected[:, None], bins, axis=1).astype(np.float32)
        self._noise: NDArray[np.floating[Any]] = np.full(bins, 1e4, np.float32)
        self._last_far = np.zeros(BLOCK, np.float32)

    def rest(self) -> None:
        """The speaker was silent for longer than the filter: what it played is forgotten."""
        self._far[:] = 0.0
        self._last_far[:] = 0.0

    def process(self, near: Int16, far: Int16) -> Int16:
        """Clean one block: both int16 (320,), 16 kHz.

        Raises:
            ValueError: another length.
        """
        if near.shape != (BLOCK,) or far.shape != (BLOCK,):
            raise ValueError(f'near {near.shape}, far {far.shape}: expected ({BLOCK},) each')
        self._push(far.astype(np.float32))
        echo = np.fft.irfft((self._far * self._room).sum(axis=0))[BLOCK:]
        rest = near - echo
        self._adapt(np.fft.rfft(np.concatenate([np.zeros(BLOCK), rest])).astype(np.complex64))
        return np.clip(np.rint(rest), -32768, 32767).astype(np.int16)

    def _push(self, far: NDArray[np.float32]) -> None:
        self._far[1:] = self._far[:-1].copy()
        self._far[0] = np.fft.rfft(np.concatenate([self._last_far, far]))
        self._last_far = far

    def _adapt(self, error: NDArray[np.complex64]) -> None:
        power = np.abs(self._far) ** 2
        self._noise = NOISE_KEPT * self._noise + (1.0 - NOISE_KEPT) * np.abs(error) ** 2
        # Half: the error covers one of the two blocks of a transform.
        gain = self._covariance / (
            0.5 * (power * self._covariance).sum(axis=0) + self._noise + 1e-3)
        update = np.fft.irfft(gain * np.conj(self._far) * error, axis=1)
        update[:, BLOCK:] = 0.0
        self._room = (TRANSITION * (self._room + np.fft.rfft(update, axis=1))).astype(np.complex64)
        kept = TRANSITION ** 2
        spread = kept * (1.0 - 0.5 * gain * power) * self._covariance \
            + (1.0 - kept) * np.abs(self._room) ** 2
        self._covariance = np.maximum(spread, LEAST_COVARIANCE).astype(np.float32)
