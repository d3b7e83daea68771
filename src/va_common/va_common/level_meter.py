# SPDX-License-Identifier: Apache-2.0
"""How loud a microphone is, and what is wrong with its sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import Int16, level_dbfs, SAMPLE_RATE

FULL_SCALE = 32700
SMOOTH = 0.05
CLIPPING_HOLD_S = 10.0
DC_LIMIT = 0.05
SILENCE_S = 10.0
LOUD_DBFS = -45.0
"""Sound from which its bandwidth can be seen."""
BAND_HZ = (500.0, 3500.0, 4500.0, 7500.0)
"""What every voice has, and what telephone sound lacks."""
BAND_LIMIT_DB = -60.0
"""Voices have more than -45 dB of their energy there, by the noise of their "s" alone."""
BAND_SECONDS = 5.0


class LevelMeter:
    """Level, clipping, DC offset, digital silence and bandwidth of a stream at 16 kHz."""

    def __init__(self) -> None:
        self.level_dbfs = -120.0
        self.peak_dbfs = -120.0
        """Of the last block."""
        self._dc = 0.0
        self._clipped_s: float | None = None
        self._sound_s: float | None = None
        self._now_s = 0.0
        self._loud_s = 0.0
        self._low = self._high = 0.0
        self.clipped_samples = 0

    def feed(self, samples: Int16, end_s: float) -> None:
        """Measure one block that ends at a time, seconds."""
        self._now_s = end_s
        self.level_dbfs = level_dbfs(samples)
        size = np.abs(samples.astype(np.int32))
        self.peak_dbfs = 20.0 * float(np.log10(max(1, int(size.max(initial=0))) / 32768.0))
        self._dc += SMOOTH * (float(np.mean(samples)) / 32768.0 - self._dc)
        clipped = int(np.count_nonzero(size >= FULL_SCALE))
        if clipped:
            self.clipped_samples += clipped
            self._clipped_s = end_s
        if self._sound_s is None or samples.any():
            self._sound_s = end_s
        if self.level_dbfs > LOUD_DBFS and not clipped:
            self._measure_band(samples)

    def _measure_band(self, samples: Int16) -> None:
        power: NDArray[np.floating] = np.abs(
            np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        edges = [round(hz * len(samples) / SAMPLE_RATE) for hz in BAND_HZ]
        self._low += float(power[edges[0]:edges[1]].sum())
        self._high += float(power[edges[2]:edges[3]].sum())
        self._loud_s += len(samples) / SAMPLE_RATE
        if self._loud_s > 2 * BAND_SECONDS:  # forget: another device, another voice
            self._loud_s, self._low, self._high = (
                0.5 * x for x in (self._loud_s, self._low, self._high))

    def warnings(self) -> list[str]:
        """What a person should look at; empty when all is well."""
        checks: tuple[Callable[[], str], ...] = (
            self._clipping, self._offset, self._silence, self._bandwidth)
        return [text for text in (check() for check in checks) if text]

    def _clipping(self) -> str:
        if self._clipped_s is None or abs(self._now_s - self._clipped_s) >= CLIPPING_HOLD_S:
            return ''
        return 'the microphone is overdriven (clipping): lower its gain'

    def _offset(self) -> str:
        if abs(self._dc) <= DC_LIMIT:
            return ''
        return f'the microphone has a DC offset of {self._dc:+.2f} of full scale'

    def _silence(self) -> str:
        if self._sound_s is None or self._now_s - self._sound_s <= SILENCE_S:
            return ''
        silent_s = self._now_s - self._sound_s
        return f'the microphone is digitally silent since {silent_s:.0f} s: muted?'

    def _bandwidth(self) -> str:
        if self._loud_s < BAND_SECONDS \
                or self._high > self._low * 10.0 ** (BAND_LIMIT_DB / 10.0):
            return ''
        return 'the sound of the microphone ends at 4 kHz (telephone quality, as of a Bluetooth ' \
               'headset): words will be missed'
