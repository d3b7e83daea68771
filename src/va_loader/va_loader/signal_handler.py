# SPDX-License-Identifier: Apache-2.0
"""Signals at ``main``: the first asks for an orderly stop, the second for a quick one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalHandler:
    """Counts signals and passes them on.

    Args:
        on_first: begins the orderly stop.
        on_second: ends everything at once.
    """

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self._on_first = on_first
        self._on_second = on_second
        self.count = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the signals of this process, in its main thread."""
        for number in SIGNALS:
            loop.add_signal_handler(number, self.take)

    def take(self) -> None:
        """A signal came."""
        self.count += 1
        if self.count == 1:
            self._on_first()
        elif self.count == 2:
            self._on_second()
