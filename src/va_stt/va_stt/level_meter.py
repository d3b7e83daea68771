# SPDX-License-Identifier: Apache-2.0
"""How loud the microphone is, and what is wrong with it."""

from __future__ import annotations

import numpy as np

from va_common.audio_io import level_dbfs
from va_stt.blocks import Block

FULL_SCALE = 32700
SMOOTH = 0.05
CLIPPING_HOLD_S = 10.0
DC_LIMIT = 0.05
SILENCE_S = 10.0


class LevelMeter:
    """Level, clipping, DC offset and digital silence of a stream of blocks."""

    def __init__(self) -> None:
        self.level_dbfs = -120.0
        self._dc = 0.0
        self._clipped_s: float | None = None
        self._sound_s: float | None = None
        self._now_s = 0.0
        self.clipped_samples = 0

    def feed(self, block: Block) -> None:
        """Measure one block."""
        samples = block.samples
        self._now_s = block.end_s
        self.level_dbfs = level_dbfs(samples)
        self._dc += SMOOTH * (float(np.mean(samples)) / 32768.0 - self._dc)
        clipped = int(np.count_nonzero(np.abs(samples.astype(np.int32)) >= FULL_SCALE))
        if clipped:
            self.clipped_samples += clipped
            self._clipped_s = block.end_s
        if self._sound_s is None or samples.any():
            self._sound_s = block.end_s

    def warnings(self) -> list[str]:
        """What a person should look at; empty when all is well."""
        found = []
        if self._clipped_s is not None and self._now_s - self._clipped_s < CLIPPING_HOLD_S:
            found.append('the microphone is overdriven (clipping): lower its gain')
        if abs(self._dc) > DC_LIMIT:
            found.append(f'the microphone has a DC offset of {self._dc:+.2f} of full scale')
        if self._sound_s is not None and self._now_s - self._sound_s > SILENCE_S:
            silent_s = self._now_s - self._sound_s
            found.append(f'the microphone is digitally silent since {silent_s:.0f} s: muted?')
        return found
