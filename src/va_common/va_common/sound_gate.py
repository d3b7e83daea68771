# SPDX-License-Identifier: Apache-2.0
"""Whether anything is heard beside the steady noise of a room: cheap, and wrong on one side only.

Models that look for a voice need not compute while there is none. A frame is let through when its
power in any of five bands stands out from the quietest of the last seconds there, and so is
what follows within the hold: a voice too faint for that is too faint for the models, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import Int16, SAMPLE_RATE

FRAME = 1280
"""Samples of a frame: 80 ms."""
BANDS_HZ = (100.0, 400.0, 1000.0, 2000.0, 4000.0, 7500.0)
"""The edges of the five bands."""
RISE_DB = np.array((6.0, 4.2, 3.5, 3.0, 3.0))
"""By how much a frame of 80 ms stands out from its floor, by band.

Power in a band varies with its number of degrees of freedom: by 1.1 dB (standard deviation) in
the lowest band of white noise and by 0.3 dB in the highest one. These are five times that, or
more."""
RISE = 10.0 ** (RISE_DB / 10.0)
_EDGES = np.rint(np.array(BANDS_HZ) * FRAME / SAMPLE_RATE).astype(np.intp)
_WINDOW = np.hanning(FRAME).astype(np.float32)
SMOOTH_S = 0.24
WINDOW_S = 4.0
"""The floor is the least power, smoothed over ``SMOOTH_S``, in this time."""
HOLD_S = 1.5
"""How long after the last sound the gate stays open."""


class SoundGate:
    """Looks at successive frames of :data:`FRAME`. Not thread-safe.

    Args:
        step: samples from the beginning of one frame to that of the next, at 16 kHz.
    """

    def __init__(self, step: int = FRAME) -> None:
        step_s = step / SAMPLE_RATE
        self._hold = round(HOLD_S / step_s)
        self._pull = step_s / SMOOTH_S
        self._recent = np.empty((round(WINDOW_S / step_s), len(RISE_DB)))
        self._smoothed = np.zeros(len(RISE_DB))
        self._count = 0
        self._left = self._hold

    def is_open(self, frame: Int16) -> bool:
        """Whether this frame, or one within ``HOLD_S`` before it, may be more than noise.

        Args:
            frame: int16 (1280,), 16 kHz.
        """
        # Digital silence is no room: sound is lost, or the microphone is muted.
        rises = bool(frame.any()) and self._rises(_band_powers(frame))
        self._left = self._hold if rises else max(0, self._left - 1)
        return self._left > 0

    def _rises(self, powers: NDArray[np.float64]) -> bool:
        self._count += 1
        pull = max(self._pull, 1.0 / self._count)
        self._smoothed = self._smoothed + pull * (powers - self._smoothed)
        if pull > self._pull:  # too few frames yet for a mean that counts
            self._recent[:] = self._smoothed
        self._recent[self._count % len(self._recent)] = self._smoothed
        return bool((powers > RISE * self._recent.min(axis=0)).any())

    def reset(self) -> None:
        """A new stream: open until its noise is known."""
        self._count = 0
        self._smoothed = np.zeros(len(RISE_DB))
        self._left = self._hold


def _band_powers(frame: Int16) -> NDArray[np.float64]:
    """Mean power of a sample in each band; the noise of rounding is added as a least floor."""
    spectrum = np.fft.rfft(frame * _WINDOW)
    power = spectrum.real ** 2 + spectrum.imag ** 2
    return np.add.reduceat(power, _EDGES)[:-1] / FRAME ** 2 + 0.01
