# SPDX-License-Identifier: Apache-2.0
"""Between the microphone's call-back and its reader: a bounded queue that wakes seldom."""

from __future__ import annotations

from collections import deque
import threading

Raw = tuple[bytes, float]
"""Samples as the device gives them, and the Unix time of the first."""


class BlockQueue:
    """Blocks of one length in order. One thread puts, one takes; neither is held up by the other.

    Args:
        maxsize: blocks that may wait.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._blocks: deque[Raw] = deque()
        self._wanted = 1
        self._enough = threading.Condition()

    def put(self, block: Raw) -> bool:
        """Add a block; False when there was no room for it."""
        with self._enough:
            if len(self._blocks) >= self._maxsize:
                return False
            self._blocks.append(block)
            if len(self._blocks) >= self._wanted:
                self._enough.notify()
            return True

    def take(self, count: int, timeout_s: float) -> Raw | None:
        """The oldest block, once so many wait or the time is over; None when none has come."""
        with self._enough:
            self._wanted = min(max(1, count), self._maxsize)
            self._enough.wait_for(lambda: len(self._blocks) >= self._wanted, timeout_s)
            return self._blocks.popleft() if self._blocks else None

    def clear(self) -> None:
        """Forget what waits."""
        with self._enough:
            self._blocks.clear()
