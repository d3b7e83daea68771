# SPDX-License-Identifier: Apache-2.0
"""Signals at ``main``: the first asks for an orderly stop, the second for a quick one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import signal
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_S = 2.0
"""Signals so soon after the first are the same request: Ctrl-C reaches a whole process group,
and ``ros2 launch`` passes it on besides."""


class SignalHandler:
    """Tells the first signal from an impatient second one.

    Args:
        on_first: begins the orderly stop.
        on_second: ends everything at once.
        clock: steady seconds.
    """

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._on_first = on_first
        self._on_second = on_second
        self._clock = clock
        self._first_s: float | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the signals of this process, in its main thread."""
        for number in SIGNALS:
            loop.add_signal_handler(number, self.take)

    def take(self) -> None:
        """A signal came."""
        if self._first_s is None:
            self._first_s = self._clock()
            self._on_first()
        elif self._clock() - self._first_s >= ECHO_S:
            self._on_second()
