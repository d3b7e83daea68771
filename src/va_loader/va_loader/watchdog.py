# SPDX-License-Identifier: Apache-2.0
"""Notices when a part of the loader itself hangs: it then dies, and main starts another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import threading

PERIOD_S = 1.0
LIMIT_TICKS = 20
"""Counted in the watchdog's own ticks: time in which the whole process was stopped or starved
counts for nobody."""


class Watchdog:
    """Watches counters that must advance; the owner calls :meth:`stop`.

    Args:
        beats: by part, a counter that it advances at least once a second.
        on_stuck: told the name of a part that stands still, in the watchdog's thread.
    """

    def __init__(self, beats: Mapping[str, Callable[[], int]],
                 on_stuck: Callable[[str], None]) -> None:
        self._beats = beats
        self._on_stuck = on_stuck
        self._last = {name: beat() for name, beat in beats.items()}
        self._still = dict.fromkeys(beats, 0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='watchdog', daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(PERIOD_S)

    def tick(self) -> str | None:
        """Look at every counter once; the part that has stood still for too long."""
        for name, beat in self._beats.items():
            count = beat()
            self._still[name] = 0 if count != self._last[name] else self._still[name] + 1
            self._last[name] = count
        return next((name for name, ticks in self._still.items() if ticks >= LIMIT_TICKS), None)

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            stuck = self.tick()
            if stuck is not None:
                self._on_stuck(stuck)
                return
