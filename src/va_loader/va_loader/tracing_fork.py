# SPDX-License-Identifier: Apache-2.0
"""Forks a process that has LTTng loaded, in the way that LTTng asks for.

rclpy brings LTTng for tracing, with two threads of its own. A plain fork would leave the child
without them but with the belief that they are there: it crashes when it ends. The calls are those
of ``liblttng-ust-fork.so`` (lttng-ust(3), "Using LTTng-UST with daemons").
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBRARY = 'liblttng-ust'
_CALLS = ('before_fork', 'after_fork_parent', 'after_fork_child')
_PREFIXES = ('lttng_ust_', 'ust_')
"""Of the calls: since version 2.13, and before."""
_SIGNAL_SET_BYTES = 128


def fork() -> int:
    """As :func:`os.fork`. Raises OSError."""
    calls = _calls()
    mask = ctypes.create_string_buffer(_SIGNAL_SET_BYTES)
    for before, _, _ in calls:
        before(mask)
    try:
        pid = os.fork()
    except OSError:
        for _, after_in_parent, _ in calls:
            after_in_parent(mask)
        raise
    for _, after_in_parent, after_in_child in calls:
        (after_in_child if pid == 0 else after_in_parent)(mask)
    return pid


def _calls() -> list[list[ctypes._NamedFuncPointer]]:
    """The three calls, when the library is loaded; it is loaded once at most."""
    lines = Path('/proc/self/maps').read_text().splitlines()
    paths = {line.split(maxsplit=5)[-1] for line in lines if _LIBRARY in line}
    found = []
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for prefix in _PREFIXES:
            if hasattr(library, prefix + _CALLS[0]):
                found.append([getattr(library, prefix + call) for call in _CALLS])
                break
    return found
