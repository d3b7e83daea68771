# SPDX-License-Identifier: Apache-2.0
"""Asks a fork server for processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
import itertools
import os
import select
import signal
import socket
import time
from typing import BinaryIO

from va_common.races import within
from va_loader.fork_protocol import (
    CLIENT_VARIABLE,
    decode,
    encode,
    ForkError,
    read_status,
    READY,
    receive,
    StartRequest,
)
from va_loader.proc_supervisor import ChildProcess

ANSWER_S = 5.0
"""For an answer; a fork takes some milliseconds, more on a busy machine."""


class ForkedProcess:
    """A process that the fork server started; see :class:`va_loader.proc_supervisor.Started`."""

    def __init__(self, pid: int, output: BinaryIO, status: int) -> None:
        self.pid = pid
        self.output = output
        self._status = status

    def wait(self) -> int:
        """Wait for the end, once; the fork server died, and it with it: as killed."""
        code = read_status(self._status)
        return -signal.SIGKILL if code is None else code


class ForkClient:
    """One end of a connection to a fork server, for one thread.

    Args:
        connection: of the kind ``SOCK_SEQPACKET``.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._questions = itertools.count(READY + 1)

    def start(self, name: str, module: str, arguments: Sequence[str],
              environ: Mapping[str, str], on_line: Callable[[str, str], None],
              orphan_signal: signal.Signals = signal.SIGKILL,
              may_fork: bool = False) -> ChildProcess:
        """Start what ``python -m module`` would; blocks for a fork, some milliseconds.

        Args:
            name: for lines and messages.
            module: as of ``python -m``.
            arguments: its command line.
            environ: its environment.
            on_line: told (name, line) for every line of its stdout and stderr.
            orphan_signal: sent to its group when this process ends.
            may_fork: whether it gets a connection of its own.

        Raises:
            ForkError: the fork server is gone, does not answer or refuses.
        """
        request = StartRequest(
            module, list(arguments), dict(environ), int(orphan_signal), may_fork)
        output, output_end = os.pipe()
        status, status_end = os.pipe()
        try:
            values = self._answer_to(self._ask([output_end, status_end], start=request))
            pid = values.get('pid')
            if not isinstance(pid, int):
                raise ForkError(f'{name}: the fork server refuses: {values.get("error")}')
        except OSError:
            os.close(output)
            os.close(status)
            raise
        finally:
            os.close(output_end)
            os.close(status_end)
        return ChildProcess(name, ForkedProcess(pid, os.fdopen(output, 'rb'), status), on_line)

    async def ping(self, timeout_s: float) -> None:
        """Wait for an answer. Raises ForkError when there is none."""
        await self._wait_for(self._ask([]), timeout_s)

    async def ready(self, timeout_s: float) -> None:
        """Wait for the imports of the fork server. Raises ForkError."""
        await self._wait_for(READY, timeout_s)

    def end(self) -> None:
        """Say that nothing is left to clear up, and close; idempotent."""
        if self._connection.fileno() < 0:
            return
        with suppress(OSError):  # it has ended already
            self._connection.send(encode(end=True), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._connection.close()

    def _ask(self, descriptors: list[int], **values: object) -> int:
        """Send a question; its number."""
        number = next(self._questions)
        message = encode(id=number, **values)
        try:
            socket.send_fds(self._connection, [message], descriptors, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise ForkError(f'the fork server has ended ({error})') from error
        return number

    def _answer_to(self, number: int) -> Mapping[str, object]:
        """Wait for the answer, letting late ones to earlier questions pass."""
        deadline_s = time.monotonic() + ANSWER_S
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            values = self._receive()
            if values.get('id') == number:
                return values
        raise ForkError(f'the fork server does not answer within {ANSWER_S:g} s')

    async def _wait_for(self, number: int, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()

        async def answered() -> None:
            while True:
                await readable.wait()
                readable.clear()
                if self._receive().get('id') == number:
                    return

        loop.add_reader(self._connection, readable.set)
        try:
            await within(timeout_s, answered())
        except asyncio.TimeoutError:
            raise ForkError(f'the fork server does not answer within {timeout_s:g} s') from None
        finally:
            loop.remove_reader(self._connection)

    def _receive(self) -> Mapping[str, object]:
        message, _ = receive(self._connection)
        if not message:
            raise ForkError('the fork server has ended')
        return decode(message)


def inherited_client() -> ForkClient | None:
    """The connection that the fork server gave to this process; None: it has none."""
    descriptor = os.environ.pop(CLIENT_VARIABLE, '')
    if not descriptor.isdecimal():
        return None
    return ForkClient(socket.socket(fileno=int(descriptor)))
