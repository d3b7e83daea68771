# SPDX-License-Identifier: Apache-2.0
"""What a process that was just forked does to be the one that ``python -m`` would have started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import ctypes
import os
from pathlib import Path
import runpy
import select
import signal
import sys
import threading
import time
import warnings

from va_common.process import die_with_parent, PARENT_VARIABLE
from va_loader import tracing_fork
from va_loader.fork_protocol import CLIENT_VARIABLE, ForkError, StartRequest

QUIET_S = 1.0
"""For the threads of libraries to lie still before a fork; for the new process to be there."""
_PAUSE_MS = 10
# Of the fields after the name in /proc/<pid>/stat; see proc(5).
_ARG_START, _ARG_END = 45, 46
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def fork_quietly() -> int:
    """Fork while no other thread runs; returns in the child, with a session of its own, 0.

    Threads that sleep in a library are let be: those of LTTng, which rclpy brings for tracing.

    Raises:
        ForkError: another thread runs, so that a lock of it could be held for ever in the child.
        OSError: the kernel refuses.
    """
    busy = _until_none(_busy_threads)
    if busy:
        raise ForkError(f'threads {", ".join(busy)} run, expected none while forking')
    # A signal to the child is kept until it can take it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    ready, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # of threads: see above
        try:
            pid = tracing_fork.fork()
        except OSError:
            os.close(ready)
            os.close(there)
            raise
    if pid == 0:
        os.setsid()
        os.close(ready)
        os.close(there)
        return 0
    os.close(there)
    # The other end is closed once the child leads its group, so that the group can be signalled.
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    poll.poll(QUIET_S * 1000)
    os.close(ready)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return pid


def become(request: StartRequest, output: int, client: int | None, server: int) -> None:
    """In a forked process: run the module; ends with its SystemExit.

    Args:
        request: what to run.
        output: descriptor for stdout and stderr.
        client: descriptor of a connection to the fork server; None: it has none.
        server: process id of the fork server, with which this one dies.
    """
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.environ.clear()
    os.environ.update(request.environ | {PARENT_VARIABLE: str(server)})
    if client is not None:
        os.environ[CLIENT_VARIABLE] = str(client)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    die_with_parent()
    be_named([sys.executable, '-m', request.module, *request.arguments])
    _draw_other_numbers()
    sys.argv = ['-m', *request.arguments]
    runpy.run_module(request.module, run_name='__main__', alter_sys=True)


def _busy_threads() -> list[str]:
    """Names of the threads, other than this one, that run or could at any moment."""
    busy = [thread.name for thread in threading.enumerate()
            if thread is not threading.current_thread()]
    for task in Path('/proc/self/task').iterdir():
        name, _, rest = (task / 'stat').read_text().rpartition(')')
        if task.name != str(threading.get_native_id()) and rest.split()[0] != 'S':
            busy.append(name.partition('(')[2])
    return busy


def _until_none(look: Callable[[], list[str]]) -> list[str]:
    """What ``look`` still finds after a while; empty as soon as it finds nothing."""
    deadline_s = time.monotonic() + QUIET_S
    poll = select.poll()
    while (found := look()) and time.monotonic() < deadline_s:
        poll.poll(_PAUSE_MS)
    return found


def be_named(command: Sequence[str]) -> None:
    """Be seen in the process table under a command line.

    It is cut to the length of the command line that the fork server was started with.
    """
    stat = Path('/proc/self/stat').read_text().rpartition(')')[2].split()
    start, end = int(stat[_ARG_START]), int(stat[_ARG_END])
    title = ' '.join(command).encode('utf-8', 'surrogateescape')[:max(0, end - start - 2)]
    if not title:
        return  # the kernel does not tell the place
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, title, len(title))
    # By a last byte that is not 0 the kernel knows that this is one text, not arguments.
    ctypes.memset(end - 1, ord('.'), 1)


def _draw_other_numbers() -> None:
    """The legacy generator of numpy does not seed itself anew in a forked process."""
    numpy = sys.modules.get('numpy')
    if numpy is not None:
        numpy.random.seed()
