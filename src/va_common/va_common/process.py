# SPDX-License-Identifier: Apache-2.0
"""A child process that never outlives its parent, whatever ends that (``kill -9`` included)."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
import os
import signal
import sys

PARENT_VARIABLE = 'VA_PARENT_PID'
"""Environment variable by which a parent tells a child to die with it."""

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(number: signal.Signals = signal.SIGKILL,
                    environ: Mapping[str, str] = os.environ) -> None:
    """Have the kernel send ``number`` to this process when its parent ends.

    Does nothing unless the parent asked for it through :data:`PARENT_VARIABLE`. The kernel means
    the *thread* that started this process: parents start children from one that lives on.
    A parent that ended before this call is noticed here: the process ends at once.
    """
    parent = environ.get(PARENT_VARIABLE, '')
    if not parent.isdecimal():
        return
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != int(parent):
        sys.exit(f'the parent process {parent} has ended')


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that they can be found."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    """Raises OSError when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f'prctl {option}: {os.strerror(error)}')
