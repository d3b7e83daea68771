# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive their owner."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path
import signal
import subprocess

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
    try_priority(-11)


def stop_process(process: subprocess.Popen, timeout_s: float) -> int:
    """SIGTERM, then SIGKILL after ``timeout_s``; returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(5.0)


def try_priority(nice: int) -> bool:
    """Ask for ``nice`` (sound hardware does not queue for the processor); False where it is not
    permitted.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        # With autogroups the scheduler weighs whole sessions: this one's weight.
        Path('/proc/self/autogroup').write_text(str(nice))
    except OSError:
        return False
    return True
