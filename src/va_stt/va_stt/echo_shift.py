# SPDX-License-Identifier: Apache-2.0
"""Finds by how much an echo comes later or earlier than expected.

Each time the speaker begins anew, its play times are known to some milliseconds only: on a busy
machine 1 to 6 ms were seen. Such a step is too far for the filter to follow, and it is no new
room: it is the room that was learned, moved.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from va_stt.blocks import Int16
from va_stt.fractional import Float32

MOST = 320
"""Samples either way: 20 ms."""
BLOCKS = 15
"""What is compared: the last 0.3 s."""
BETTER = 0.4
"""Share of what is left that must be left at most, moved: 4 dB less."""
LEAST = 3
"""Blocks of a sound before it tells anything."""


class EchoShift:
    """Compares the microphone with the echo that was expected in it."""

    def __init__(self) -> None:
        self._heard: deque[Float32] = deque(maxlen=BLOCKS)
        self._expected: deque[Float32] = deque(maxlen=BLOCKS)

    def clear(self) -> None:
        """The filter was changed: what it expected before says nothing any more."""
        self._heard.clear()
        self._expected.clear()

    def feed(self, heard: Int16, expected: Float32) -> None:
        """Take a block: both (n,), at the scale of int16."""
        self._heard.append(heard.astype(np.float32))
        self._expected.append(expected)

    def samples(self) -> int:
        """How much later the echo comes than expected, -320 to 320; 0: moving gains nothing."""
        if len(self._heard) < LEAST:
            return 0
        heard, expected = np.concatenate(self._heard), np.concatenate(self._expected)
        size = 2 * heard.size
        cross = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(expected, size)))
        shared = np.concatenate([cross[-MOST:], cross[:MOST + 1]])
        left = float(heard @ heard + expected @ expected) - 2.0 * shared
        best = int(np.argmin(left))
        return best - MOST if left[best] < BETTER * left[MOST] else 0
