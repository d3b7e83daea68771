# SPDX-License-Identifier: Apache-2.0
"""Child processes in groups of their own, which die with their parent and say why they ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
import os
import signal
import subprocess
import threading
from typing import BinaryIO, Protocol

from va_common.process import PARENT_VARIABLE
from va_loader.procfs import Sample, sample

TAIL_LINES = 20
_LINE_BYTES = 4096
_ERROR_MARKS = ('error', 'fatal', 'exception', 'failed', 'taken', 'refused', 'no module')
KILL_TIMEOUT_S = 2.0
"""From SIGKILL to the end: the kernel tearing down a large process."""


def end_reason(code: int) -> str:
    """How a process ended, for a person: from the return code of :mod:`subprocess`."""
    if code >= 0:
        return f'ended with exit code {code}'
    try:
        return f'killed by {signal.Signals(-code).name}'
    except ValueError:
        return f'killed by signal {-code}'


class Started(Protocol):
    """A process that was just started, in a session of its own."""

    @property
    def pid(self) -> int:
        """Process id, also of its group and session."""

    @property
    def output(self) -> BinaryIO:
        """The read end of its stdout and stderr."""

    def wait(self) -> int:
        """Wait for the end; the code as of :attr:`subprocess.Popen.returncode`. Called once."""


class ExecutedProcess:
    """A program that this process started itself; see :class:`Started`."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        self._popen = popen
        self.output: BinaryIO = popen.stdout  # type: ignore[assignment]

    @property
    def pid(self) -> int:
        """Process id, also of its group and session."""
        return self._popen.pid

    def wait(self) -> int:
        """Wait for the end and reap it."""
        return self._popen.wait()


class ChildProcess:
    """One running or ended child.

    Made by :func:`spawn` or :meth:`va_loader.fork_client.ForkClient.start`.
    """

    def __init__(self, name: str, started: Started, on_line: Callable[[str, str], None]) -> None:
        self.name = name
        self._started = started
        self._code: int | None = None
        self._on_line = on_line
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """Its last lines on stdout and stderr."""
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.ensure_future(self._read())
        threading.Thread(target=self._wait, args=(asyncio.get_running_loop(),),
                         name=f'wait_{name}', daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id, also of its group and session."""
        return self._started.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.done()

    @property
    def exit_code(self) -> int | None:
        """As :attr:`subprocess.Popen.returncode`; None while it runs."""
        return self._code

    @property
    def ended_by(self) -> str:
        """Why it ended; empty while it runs."""
        return '' if self.alive else self._ended.result()

    @property
    def last_error(self) -> str:
        """The last line that it wrote about an error; empty: none."""
        marked = (line for line in reversed(self.tail)
                  if any(mark in line.lower() for mark in _ERROR_MARKS))
        return next(marked, '')

    def look(self) -> Sample:
        """What it has done so far."""
        return sample(self.pid)

    async def exited(self) -> str:
        """Wait for the end and return its reason."""
        return await asyncio.shield(self._ended)

    def interrupt(self) -> None:
        """Ask it to end in order (SIGINT); a stopped one is let go on, to obey."""
        self.send(signal.SIGINT)
        self.send(signal.SIGCONT)

    def terminate(self) -> None:
        """End it while it still imports: SIGTERM is not a traceback there, SIGINT is."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its whole group."""
        with suppress(ProcessLookupError):  # all of the group have ended
            os.killpg(self.pid, number)

    async def stop(self, timeout_s: float) -> None:
        """Wait for the end; SIGTERM after ``timeout_s``, SIGKILL after half as long again.

        With 0 it is killed at once. What is left of its group is killed too.
        """
        if timeout_s > 0:
            for limit_s, number in ((timeout_s, signal.SIGTERM), (timeout_s / 2, signal.SIGKILL)):
                if await self._ends_within(limit_s):
                    break
                self._on_line(self.name, f'did not end in {limit_s:g} s: {number.name}')
                self.send(number)
        self.send(signal.SIGKILL)
        await self._ends_within(KILL_TIMEOUT_S)
        self._reader.cancel()

    async def _ends_within(self, limit_s: float) -> bool:
        await asyncio.wait((self._ended,), timeout=limit_s)
        return self._ended.done()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """A thread for each child: it ends with the child, which :meth:`stop` sees to."""
        code = self._started.wait()
        asyncio.run_coroutine_threadsafe(self._end(code), loop)

    async def _end(self, code: int) -> None:
        # The last lines say why: give the reader the time to see the end of the pipe.
        await asyncio.wait((self._reader,), timeout=0.2)
        self._code = code
        self._ended.set_result(end_reason(code))

    async def _read(self) -> None:
        reader = asyncio.StreamReader(limit=_LINE_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._started.output)
        rest = b''
        try:
            while chunk := await reader.read(_LINE_BYTES):
                *lines, rest = (rest + chunk).split(b'\n')
                for line in lines:
                    self._take(line)
                rest = rest[-_LINE_BYTES:]
            self._take(rest)
        finally:
            transport.close()

    def _take(self, raw: bytes) -> None:
        line = raw.decode('utf-8', 'replace').rstrip()
        if line:
            self.tail.append(line)
            self._on_line(self.name, line)


def spawn(name: str, command: Sequence[str], on_line: Callable[[str, str], None],
          environ: Mapping[str, str] | None = None,
          inherited: Sequence[int] = ()) -> ChildProcess:
    """Start a child in a session of its own; call from the thread that outlives it.

    Args:
        name: for lines and messages.
        command: program and arguments.
        on_line: told (name, line) for every line of its stdout and stderr.
        environ: environment; None: this one's. It learns its parent's pid, to die with it.
        inherited: descriptors that it keeps, under the same numbers.

    Raises:
        OSError: the program cannot be started.
    """
    variables = {**(os.environ if environ is None else environ),
                 PARENT_VARIABLE: str(os.getpid()), 'PYTHONUNBUFFERED': '1'}
    popen = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, env=variables,
        pass_fds=tuple(inherited))
    return ChildProcess(name, ExecutedProcess(popen), on_line)
