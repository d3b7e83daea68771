# SPDX-License-Identifier: Apache-2.0
"""When the loader dies: a last-resort log, its orphans stopped, a new one started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
import os
from pathlib import Path
import signal
import time
from typing import Protocol

from va_common.races import cancel
from va_common.retry_backoff import RestartBudget
from va_loader import procfs
from va_loader.exit_codes import (
    EXIT_CLEAN,
    EXIT_CONFIGURATION,
    EXIT_CRASHED,
    EXIT_FATAL,
    EXIT_TAKEN,
)

LAST_RESORT_LOG = 'fatal.log'
ORPHAN_TIMEOUT_S = 1.0
"""For orphans to end by SIGTERM; then SIGKILL."""
STOP_TIMEOUT_S = 8.0
"""For the loader's orderly stop."""
_DELIBERATE = (EXIT_CLEAN, EXIT_FATAL, EXIT_CONFIGURATION, EXIT_TAKEN)
_LOG_BYTES = 1_000_000


class LoaderProcess(Protocol):
    """The loader's process; see :class:`va_loader.proc_supervisor.ChildProcess`."""

    @property
    def exit_code(self) -> int | None:
        """As of :mod:`subprocess`; None while it runs."""

    @property
    def tail(self) -> Iterable[str]:
        """Its last lines."""

    async def exited(self) -> str:
        """Wait for the end and return its reason."""

    def interrupt(self) -> None:
        """Ask it to end in order."""

    async def stop(self, timeout_s: float) -> None:
        """Wait for the end, by force if need be."""


class FatalGuard:
    """Runs loaders one after another until one ends on purpose.

    Args:
        start: starts a loader.
        hung: returns, with the reason, when a loader no longer answers.
        stop_orphans: ends what a dead loader left behind.
        last_resort: writes a reason and the loader's last lines.
        budget: how often a dead loader is replaced.
        clock: steady seconds.
    """

    def __init__(self, start: Callable[[], Awaitable[LoaderProcess]],
                 hung: Callable[[LoaderProcess], Awaitable[str]],
                 stop_orphans: Callable[[], Awaitable[None]],
                 last_resort: Callable[[str, Iterable[str]], None],
                 budget: RestartBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._hung = hung
        self._stop_orphans = stop_orphans
        self._last_resort = last_resort
        self._budget = budget
        self._clock = clock
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stopping.set()

    def kill(self) -> None:
        """End everything at once."""
        self._hurry.set()

    async def run(self) -> int:
        """Until the loader ends on purpose or cannot be kept alive; the exit code of main."""
        while True:
            loader = await self._started()
            if loader is None:
                await self._stop_orphans()
                return EXIT_CLEAN
            reason = await self._end_of(loader)
            if self._stopping.is_set():
                return await self._stop_loader(loader)
            await loader.stop(0.0)
            await self._stop_orphans()
            if loader.exit_code in _DELIBERATE and not reason.startswith('hung'):
                return int(loader.exit_code or EXIT_CLEAN)
            self._last_resort(f'loader: {reason}', loader.tail)
            if not self._budget.use(self._clock()):
                self._last_resort('the loader died too often, giving up', ())
                return EXIT_FATAL

    async def _started(self) -> LoaderProcess | None:
        """A loader; None: a stop was asked for before there was one."""
        start = asyncio.ensure_future(self._start())
        asked = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((start, asked), return_when=asyncio.FIRST_COMPLETED)
            return start.result() if start.done() else None
        finally:
            await cancel(start, asked)

    async def _end_of(self, loader: LoaderProcess) -> str:
        """Wait until the loader has ended, hangs, or is to be stopped."""
        waits = [asyncio.ensure_future(wait) for wait in (
            loader.exited(), self._hang_of(loader), self._asked())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(wait for wait in waits if wait in done).result()
        finally:
            await cancel(*waits)

    async def _hang_of(self, loader: LoaderProcess) -> str:
        return f'hung: {await self._hung(loader)}'

    async def _asked(self) -> str:
        await self._stopping.wait()
        return 'was asked to stop'

    async def _stop_loader(self, loader: LoaderProcess) -> int:
        loader.interrupt()
        end = asyncio.ensure_future(loader.exited())
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait((end, hurry), timeout=STOP_TIMEOUT_S,
                           return_when=asyncio.FIRST_COMPLETED)
        in_order = end.done()
        await cancel(end, hurry)
        await loader.stop(0.0)
        await self._stop_orphans()
        if not in_order:
            self._last_resort('the loader did not stop in order and was killed', loader.tail)
            return EXIT_FATAL
        if loader.exit_code == -signal.SIGINT:
            return EXIT_CLEAN  # it had not come far enough to take the signal
        return EXIT_FATAL if loader.exit_code == EXIT_CRASHED else int(loader.exit_code or 0)


class LastResortLog:
    """A file beside the application log, written by main itself; never raises.

    Args:
        folder: of the logs.
        say: told each line too.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._path = folder / LAST_RESORT_LOG
        self._say = say

    def write(self, reason: str, tail: Iterable[str]) -> None:
        """Append a reason and the last lines of the process that it is about."""
        stamp = datetime.now(timezone.utc).isoformat(timespec='milliseconds')
        self._say(f'[main] FATAL: {reason}')
        lines = [f'{stamp} FATAL {reason}', *(f'    {line}' for line in tail)]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = os.O_WRONLY | os.O_CREAT
            full = self._path.exists() and self._path.stat().st_size > _LOG_BYTES
            flags = mode | (os.O_TRUNC if full else os.O_APPEND)
            with open(os.open(self._path, flags, 0o600), 'w', encoding='utf-8') as file:
                file.write('\n'.join(lines) + '\n')
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._say(f'[main] {self._path} could not be written: {error}')


async def stop_orphans(timeout_s: float = ORPHAN_TIMEOUT_S, spared: int = 0) -> None:
    """End all descendants of this process, which must be their subreaper; reap them.

    Args:
        timeout_s: for them to end by SIGTERM; then SIGKILL.
        spared: process id of one that goes on, but for its own descendants.
    """
    deadline = time.monotonic() + timeout_s
    number = signal.SIGTERM
    while orphans := [pid for pid in procfs.descendants(os.getpid()) if pid != spared]:
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        _reap()
        await asyncio.sleep(0.05)
        if time.monotonic() >= deadline:
            number = signal.SIGKILL
    _reap()


def _reap() -> None:
    with suppress(ChildProcessError):  # none left
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
