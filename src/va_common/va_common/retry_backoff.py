# SPDX-License-Identifier: Apache-2.0
"""How long to wait before trying again, and when to stop trying."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Backoff:
    """Delays for successive retries; the last one repeats."""

    def __init__(self, delays_s: Sequence[float] = (1.0, 3.0, 5.0)) -> None:
        if not delays_s or min(delays_s) < 0:
            raise ValueError(f'delays_s {delays_s!r}: expected one or more seconds, none negative')
        self._delays_s = tuple(delays_s)
        self.attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        delay_s = self._delays_s[min(self.attempts, len(self._delays_s) - 1)]
        self.attempts += 1
        return delay_s

    def reset(self) -> None:
        """Begin again with the first delay."""
        self.attempts = 0


class RestartBudget:
    """At most ``limit`` restarts within any ``window_s`` seconds."""

    def __init__(self, limit: int = 3, window_s: float = 60.0) -> None:
        self._limit = limit
        self._window_s = window_s
        self._uses: deque[float] = deque(maxlen=max(1, limit))

    def use(self, now_s: float) -> bool:
        """Take one restart at ``now_s`` (any steady clock). False: the budget is spent."""
        if self.used(now_s) >= self._limit:
            return False
        self._uses.append(now_s)
        return True

    def used(self, now_s: float) -> int:
        """How many restarts lie within the window that ends at ``now_s``."""
        while self._uses and now_s - self._uses[0] >= self._window_s:
            self._uses.popleft()
        return len(self._uses)
