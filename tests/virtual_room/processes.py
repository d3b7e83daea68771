# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive their owner."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
import signal
import subprocess
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """For ``preexec_fn``: the kernel sends ``signal_number`` to the child when the starting
    thread ends.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def terminate_with_parent() -> None:
    """For ``preexec_fn``: as `die_with_parent`, but the child may end in order (SIGTERM)."""
    die_with_parent(signal.SIGTERM)


def be_hardware() -> None:
    """For ``preexec_fn``: as `die_with_parent`, out of reach of Ctrl-C, with `try_priority`."""
    die_with_parent()
    os.setsid()
    try_priority()


def stop_process(process: subprocess.Popen[Any], timeout_s: float) -> int:
    """SIGTERM, then SIGKILL after ``timeout_s``; returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(5.0)


def try_priority(pid: int = 0) -> bool:
    """Let all threads of a process run before ordinary programs, as sound hardware does.

    The scheduler's real-time class where the system permits it, else a better nice value (of
    the calling process only); False where neither is.
    """
    threads = [int(path.name) for path in Path(f'/proc/{pid}/task').iterdir()] if pid else [0]
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(5))
    except OSError:
        return pid == 0 and _try_nice(-11)
    return True


def _try_nice(nice: int) -> bool:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        # With autogroups the scheduler weighs whole sessions: this one's weight.
        Path('/proc/self/autogroup').write_text(str(nice))
    except OSError:
        return False
    return True
