# SPDX-License-Identifier: Apache-2.0
"""The process ``main``: checks the environment, starts the loader, passes signals on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
import signal
import sys

from va_common import process
from va_common.ports import PORTS
from va_common.races import first
from va_common.retry_backoff import RestartBudget
from va_loader.bootstrap import BootstrapError, prepare, Prepared
from va_loader.children import environment, print_line
from va_loader.fatal_guard import FatalGuard, LastResortLog, LoaderProcess, stop_orphans
from va_loader.fork_protocol import ForkError
from va_loader.fork_server import ForkServer
from va_loader.proc_supervisor import ChildProcess, spawn
from va_loader.signal_handler import SignalHandler
from va_loader.warmup import RECOVERING_VARIABLE

LOADER = 'va_loader.loader'


class Main:
    """Keeps one loader running.

    Args:
        prepared: what the bootstrap found good.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        config = prepared.config
        self._port = PORTS['loader'] + int(str(config.get('system.port_offset')))
        self._interval_s = float(str(config.get('loader.health_interval_ms'))) / 1000.0
        self._budget = RestartBudget(int(str(config.get('loader.restart_limit'))), 60.0)
        # Once: a restarted loader belongs to the same run.
        self._environ = environment(config)
        self._forker = ForkServer(self._environ, _print_line_of)
        self._reasons: list[str] = []
        """Why the last loader died, for its successor."""

    async def run(self) -> int:
        """Until the loader ends on purpose; the exit code."""
        process.adopt_orphans()
        self._last_resort = LastResortLog(self._prepared.log_folder, print_line)
        guard = FatalGuard(self._start, self._hung, self._clear_up, self._report, self._budget)
        SignalHandler(guard.stop, guard.kill).install(asyncio.get_running_loop())
        try:
            return await guard.run()
        finally:
            await self._forker.end()

    async def _start(self) -> ChildProcess:
        arguments, environ = self._prepared.options.arguments(), dict(self._environ)
        if self._reasons:
            environ[RECOVERING_VARIABLE] = '; '.join(self._reasons)
            self._reasons.clear()
        try:
            return await self._forker.start('loader', LOADER, arguments, environ)
        except ForkError as error:
            # Slower, and everything works.
            print_line(f'[main] {error}: processes are started without it')
        command = [sys.executable, '-m', LOADER, *arguments]
        return spawn('loader', command, _print_line_of, environ)

    def _report(self, reason: str, tail: Iterable[str]) -> None:
        self._reasons.append(reason)
        self._last_resort.write(reason, tail)

    async def _hung(self, loader: LoaderProcess) -> str:
        """Return, with the reason, when loader or fork server no longer answers."""
        return await first(self._loader_hung(loader), self._forker.hung(self._interval_s))

    async def _loader_hung(self, loader: LoaderProcess) -> str:
        assert isinstance(loader, ChildProcess)
        # Here: while it loads, the loader is on its way.
        from va_loader import loader_watch

        return await loader_watch.hung(loader.pid, self._port, self._interval_s)

    async def _clear_up(self) -> None:
        await self._forker.settle(self._report)
        await stop_orphans(spared=self._forker.pid)


def _print_line_of(name: str, line: str) -> None:
    """Lines of the loader are as they should be; its fork server says only what went wrong."""
    print_line(line)


def main(argv: list[str] | None = None) -> int:
    """Run the assistant; 0 after a signal, 2 configuration, 3 taken, 1 anything else."""
    process.die_with_parent(signal.SIGTERM)
    try:
        prepared = prepare(sys.argv[1:] if argv is None else argv)
    except BootstrapError as error:
        for problem in error.problems:
            print_line(problem)
        return error.exit_code
    try:
        return asyncio.run(Main(prepared).run())
    finally:
        prepared.lock.release()


if __name__ == '__main__':
    sys.exit(main())
