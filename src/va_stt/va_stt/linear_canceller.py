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

What the clocks of speaker and microphone are still apart moves the whole room by fractions of a
sample, too fast for a filter of 9600 taps, and it may not stop while both speak. The echo itself
tells it: the residual has a share of the slope of the expected echo. That one number is followed
by itself, as S. Pawig, G. Enzner, P. Vary, "Adaptive sampling rate correction for acoustic echo
control in voice-over-IP", IEEE Trans. Signal Processing 58 (2010), and the room is moved by it.
"""

from __future__ import annotations

from copy import deepcopy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_stt.blocks import Int16

BLOCK = 320
PARTITIONS = 30
"""0.6 s: the lead, a speaker delay of up to 0.3 s, and the room."""
TRANSITION = 0.9995
"""How much of the room stays the same from block to block."""
FIRST_COVARIANCE = 0.05
FIRST_DECAY = 15.0
"""Partitions over which the expected echo falls to 1/e."""
NOISE_KEPT = 0.7
LEAST_COVARIANCE = 1e-10
SHIFT_WANDER = 0.05
"""Samples by which the clocks part in a block: 150 ppm."""
SHIFT_NOISE = 8.0
"""Of speech neighbouring samples are alike: the residual counts for so many times less samples."""
MAX_SHIFT = 2.0
VOICE_BINS = slice(8, 160)
"""200 Hz to 4 kHz."""
ERROR_PULL = 0.5
TAIL_KEPT = 0.9
"""How the echo dies away that the filter is too short for: 23 dB in a second."""
FLOOR = 152 * BLOCK * 30.0 ** 2
"""Of the expected echo, in the bins of voice: -61 dBFS."""


class LinearCanceller:
    """Subtracts the echo, block by block of 320 samples."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        bins = BLOCK + 1
        self._far = np.zeros((PARTITIONS, bins), np.complex64)
        self._room = np.zeros((PARTITIONS, bins), np.complex64)
        self._covariance = _uncertainty()
        self._noise: NDArray[np.floating[Any]] = np.full(bins, 1e4, np.float32)
        self._last_far = np.zeros(BLOCK, np.float32)
        self.expected = np.zeros(BLOCK, np.float32)
        """The echo that was expected in the last block, (320,)."""
        self._shift_var = 0.0
        self._error_power = self._echo_power = 0.0
        self.near_db = 0.0
        """How much louder the last blocks were than the echo that may be left in them.

        Echo alone stays below 12 dB, nearly always below 8; the model of the filter knows how
        uncertain it is of the room."""
        self._turn = 2j * np.pi * np.arange(bins) / (2 * BLOCK)

    def unsure(self) -> LinearCanceller:
        """A copy that takes the room for less known."""
        other = deepcopy(self)
        other._covariance = np.maximum(other._covariance, _uncertainty())
        return other

    def rest(self) -> None:
        """The speaker was silent for longer than the filter: what it played is forgotten."""
        self._far[:] = 0.0
        self._last_far[:] = 0.0

    def move(self, samples: int) -> None:
        """Expect the echo so much later, in samples at 16 kHz; negative: earlier."""
        taps = np.fft.irfft(self._room, axis=1)[:, :BLOCK].ravel()
        moved = np.zeros_like(taps)
        if samples > 0:
            moved[samples:] = taps[:-samples]
        else:
            moved[:taps.size + samples] = taps[-samples:]
        self._room = np.fft.rfft(
            moved.reshape(PARTITIONS, BLOCK), 2 * BLOCK, axis=1).astype(np.complex64)

    def process(self, near: Int16, far: Int16) -> Int16:
        """Clean one block: both int16 (320,), 16 kHz.

        Raises:
            ValueError: another length.
        """
        if near.shape != (BLOCK,) or far.shape != (BLOCK,):
            raise ValueError(f'near {near.shape}, far {far.shape}: expected ({BLOCK},) each')
        self._push(far.astype(np.float32))
        echo = np.fft.irfft((self._far * self._room).sum(axis=0))
        early = self._early(echo, near)
        if early:
            self._room *= np.exp(self._turn * early).astype(np.complex64)
            echo = np.fft.irfft((self._far * self._room).sum(axis=0))
        self.expected = echo[BLOCK:].astype(np.float32)
        rest = near - self.expected
        self._adapt(np.fft.rfft(np.concatenate([np.zeros(BLOCK), rest])).astype(np.complex64))
        return np.clip(np.rint(rest), -32768, 32767).astype(np.int16)

    def _early(self, echo: NDArray[np.floating[Any]], near: Int16) -> float:
        """By how many samples the echo comes earlier than expected, as far as is known."""
        slope = 0.5 * (np.roll(echo, -1) - np.roll(echo, 1))[BLOCK:-1]
        rest = (near - echo[BLOCK:])[:-1]
        power = float(slope @ slope) + 1e-3
        noise_var = SHIFT_NOISE * float(rest @ rest) / len(rest) / power
        self._shift_var += SHIFT_WANDER ** 2
        gain = self._shift_var / (self._shift_var + noise_var)
        measured = min(MAX_SHIFT, max(-MAX_SHIFT, float(rest @ slope) / power))
        self._shift_var *= 1.0 - gain
        return gain * measured

    def _push(self, far: NDArray[np.float32]) -> None:
        self._far[1:] = self._far[:-1].copy()
        self._far[0] = np.fft.rfft(np.concatenate([self._last_far, far]))
        self._last_far = far

    def _adapt(self, error: NDArray[np.complex64]) -> None:
        power = np.abs(self._far) ** 2
        self._noise = NOISE_KEPT * self._noise + (1.0 - NOISE_KEPT) * np.abs(error) ** 2
        # Half: the error covers one of the two blocks of a transform.
        left = 0.5 * (power * self._covariance).sum(axis=0)
        gain = self._covariance / (left + self._noise + 1e-3)
        self._judge(np.abs(error[VOICE_BINS]) ** 2, left[VOICE_BINS])
        update = np.fft.irfft(gain * np.conj(self._far) * error, axis=1)
        update[:, BLOCK:] = 0.0
        self._room = (TRANSITION * (self._room + np.fft.rfft(update, axis=1))).astype(np.complex64)
        kept = TRANSITION ** 2
        spread = kept * (1.0 - 0.5 * gain * power) * self._covariance \
            + (1.0 - kept) * np.abs(self._room) ** 2
        self._covariance = np.maximum(spread, LEAST_COVARIANCE).astype(np.float32)

    def _judge(self, error_power: NDArray[np.floating[Any]], left: NDArray[np.floating[Any]]) \
            -> None:
        self._error_power += ERROR_PULL * (float(error_power.sum()) - self._error_power)
        self._echo_power = max(float(left.sum()), TAIL_KEPT * self._echo_power)
        self.near_db = 10.0 * math.log10(
            (self._error_power + 1.0) / (self._echo_power + FLOOR))


def _uncertainty() -> NDArray[np.float32]:
    """Covariance of a room that is not known, shape (PARTITIONS, BLOCK + 1)."""
    expected = FIRST_COVARIANCE * np.exp(-np.arange(PARTITIONS) / FIRST_DECAY)
    return np.repeat(expected[:, None], BLOCK + 1, axis=1).astype(np.float32)
