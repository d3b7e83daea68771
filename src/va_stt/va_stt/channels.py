# SPDX-License-Identifier: Apache-2.0
"""Many channels of a device mixed to one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import to_mono
from va_stt.blocks import Int16
from va_stt.levels import power, ratio_db

LOUD = 100.0 ** 2
"""Power, -50 dBFS, from which a block tells how the channels belong together."""
PULL = 0.01
SURE_BLOCKS = 150
CANCELLED_DB = 12.0
"""Eight channels that have nothing in common lose 9 dB in their mean."""


class ChannelMix:
    """The mean of all channels; notices when they cancel each other out.

    That is what a balanced microphone in a stereo socket does: its second channel is the first
    one upside down.
    """

    def __init__(self) -> None:
        self._loud_blocks = 0
        self._apart = self._mixed = 0.0

    def mix(self, frames: NDArray[np.int16]) -> Int16:
        """One block: (n, channels) int16 to (n,)."""
        mono: NDArray[Any] = to_mono(frames)
        apart = power(frames)
        if apart > LOUD:
            self._loud_blocks += 1
            pull = max(PULL, 1.0 / self._loud_blocks)
            self._apart += pull * (apart - self._apart)
            self._mixed += pull * (power(mono) - self._mixed)
        return mono

    def warnings(self) -> list[str]:
        """What a person should look at; empty when all is well."""
        if self._loud_blocks < SURE_BLOCKS \
                or ratio_db(self._apart, self._mixed) < CANCELLED_DB:
            return []
        return ['the channels of the microphone cancel each other out: is it wired as stereo? '
                'Choose a mono input_device']
