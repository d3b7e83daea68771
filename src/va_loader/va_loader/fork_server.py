# SPDX-License-Identifier: Apache-2.0
"""Keeps one fork server for ``main``, which starts the loader through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
import signal
import socket
import sys

from va_common.races import first
from va_loader.fork_client import ForkClient
from va_loader.fork_protocol import ForkError
from va_loader.node_specs import SPECS
from va_loader.proc_supervisor import ChildProcess, spawn
from va_loader.procfs import is_frozen

PRELOADED = (
    'numpy', 'yaml', 'pynvml', 'grpc', 'grpc_health.v1.health', 'rclpy', 'rclpy.executors',
    'rclpy.lifecycle', 'rclpy.action', 'va_loader.type_supports:load',
    'va_common.lifecycle', 'va_common.spinning',
    'va_loader.admin_api', 'va_loader.children', 'va_loader.control',
    'va_loader.dialog_manager', 'va_loader.dialog_port', 'va_loader.lifecycle_client',
    'va_loader.managed_node', 'va_loader.node', 'va_loader.session', 'va_loader.watchdog',
    *(f'va_{name}.node' for name in SPECS))
"""No engine and no sound library: those start threads, or speak to a server, when imported."""

READY_TIMEOUT_S = 30.0
"""For its imports: 2 s, on a busy machine much more."""
FROZEN_POLL_S, FROZEN_LOOKS = 0.5, 3
SILENT_S = 10.0
END_TIMEOUT_S = 1.0
_ROOM = '.' * 1000
"""The kernel shows no longer command line than a process was started with."""


class ForkServer:
    """One fork server at a time.

    Args:
        environ: its environment.
        on_line: told (name, line) for what it prints.
        modules: what it imports.
    """

    def __init__(self, environ: Mapping[str, str], on_line: Callable[[str, str], None],
                 modules: Sequence[str] = PRELOADED) -> None:
        self._environ = dict(environ)
        self._on_line = on_line
        self._modules = tuple(modules)
        self._process: ChildProcess | None = None
        self._client: ForkClient | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 while none runs."""
        return self._process.pid if self._process is not None and self._process.alive else 0

    async def start(self, name: str, module: str, arguments: Sequence[str],
                    environ: Mapping[str, str]) -> ChildProcess:
        """Start a process that may itself start others; SIGTERM tells it when main has ended.

        Raises:
            ForkError: no fork server can be had; none is left running.
        """
        reused = self._client is not None
        try:
            client = await self._ready_client()
            return client.start(name, module, arguments, environ, self._on_line,
                                signal.SIGTERM, may_fork=True)
        except OSError as error:
            await self.kill()
            if not reused:
                raise ForkError(str(error)) from error
        return await self.start(name, module, arguments, environ)

    async def hung(self, interval_s: float) -> str:
        """Return, with the reason, once a running fork server is stopped or does not answer."""
        return await first(self._frozen(), self._silent(interval_s))

    async def _frozen(self) -> str:
        looks = 0
        while looks < FROZEN_LOOKS:
            await asyncio.sleep(FROZEN_POLL_S)
            looks = looks + 1 if self.pid and is_frozen(self.pid) else 0
        return 'the fork server is frozen'

    async def _silent(self, interval_s: float) -> str:
        while True:
            await asyncio.sleep(interval_s)
            if self._client is None:
                continue
            try:
                await self._client.ping(SILENT_S)
            except OSError as error:
                if self.pid:
                    return str(error)

    async def settle(self, report: Callable[[str, Sequence[str]], None]) -> None:
        """Between two loaders: one that died, is frozen or does not answer is reported, ended."""
        child, reason = self._process, await self._problem()
        if child is not None and reason:
            report(f'the fork server: {reason}', child.tail)
            await self.kill()

    async def _problem(self) -> str:
        """Why it cannot be used any more; empty: it can, or there is none."""
        child, client = self._process, self._client
        if child is None or client is None:
            return ''
        if child.alive and is_frozen(child.pid):
            return 'frozen'
        try:
            await client.ping(SILENT_S)
            return ''
        except ForkError as error:
            # Its end is known a moment later than its silence.
            ended = asyncio.ensure_future(child.exited())
            await asyncio.wait((ended,), timeout=END_TIMEOUT_S)
            return ended.result() if ended.done() else str(error)

    async def end(self) -> None:
        """End it after everything that it started; idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.end()
        if self._process is not None and self._process.alive:
            await asyncio.wait((asyncio.ensure_future(self._process.exited()),),
                               timeout=END_TIMEOUT_S)
        await self.kill()

    async def kill(self) -> None:
        """End it now, and with it everything that it started; idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.end()
        child, self._process = self._process, None
        if child is not None:
            await child.stop(0.0)

    async def _ready_client(self) -> ForkClient:
        if self._client is not None and self.pid:
            return self._client
        await self.kill()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, '-m', 'va_loader.forker', '--fd', str(theirs.fileno()),
                       '--room', _ROOM, *self._modules]
            self._process = spawn('forker', command, self._on_line, self._environ,
                                  (theirs.fileno(),))
        self._client = ForkClient(ours)
        await self._client.ready(READY_TIMEOUT_S)
        return self._client
