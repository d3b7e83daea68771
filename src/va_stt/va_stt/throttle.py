# SPDX-License-Identifier: Apache-2.0
"""Keeps a flood of equal complaints out of the log."""

from __future__ import annotations

from collections.abc import Callable
import time


class Throttle:
    """Lets one through per period and counts what it held back.

    Args:
        period_s: seconds between two that pass.
        clock: any steady clock, seconds.
    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._passed_at: float | None = None
        self.held_back = 0

    def passes(self) -> int | None:
        """How many there were since the last that passed, or None: this one is held back."""
        now = self._clock()
        self.held_back += 1
        if self._passed_at is not None and now - self._passed_at < self._period_s:
            return None
        self._passed_at = now
        count, self.held_back = self.held_back, 0
        return count
