# SPDX-License-Identifier: Apache-2.0
"""Counters of work done. A busy node's counters advance, a wedged one's stand still."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time


class Progress:
    """Named counters with the time of their last advance. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def advance(self, name: str, amount: int = 1) -> None:
        """Note that ``amount`` more of ``name`` has been done."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + amount
            self._last[name] = self._clock()

    def restart(self, name: str) -> None:
        """Count the time of a stall from now, as after activate."""
        with self._lock:
            self._last[name] = self._clock()

    def idle_s(self, name: str) -> float:
        """Seconds since ``name`` advanced or restarted; 0 when it never did either."""
        with self._lock:
            last = self._last.get(name)
            return 0.0 if last is None else self._clock() - last

    def stalled(self, name: str, seconds: float) -> bool:
        """Whether ``name`` has not advanced for more than ``seconds``."""
        return self.idle_s(name) > seconds

    def counts(self) -> dict[str, int]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._counts)
