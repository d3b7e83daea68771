# SPDX-License-Identifier: Apache-2.0
"""What Linux knows about a process, from /proc: frozen, busy or asleep; its descendants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
import os

STOPPED = ('T', 't')
"""States of a process that a signal or a debugger holds."""

BUSY_SHARE = 0.3
"""Share of the time on, or waiting for, a core from which a process counts as busy."""

STARVED_SHARE = 0.3
"""Share of the time in the queue for a core from which a process that also waited longer than it
computed counts as starved."""
STARVED_RATIO = 1.5
STARVED_MIN_S = 1.0
_READ_BYTES = 4096


class Activity(Enum):
    """What a process did since it was last looked at."""

    GONE = 'gone'
    FROZEN = 'frozen'
    """Stopped by a signal or a debugger."""
    BUSY = 'busy'
    """It computed."""
    STARVED = 'starved'
    """It waited for a core that others had."""
    ASLEEP = 'asleep'


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    state: str
    """Letter of ``/proc/<pid>/stat``; empty: there is no such process."""
    computed_s: float
    """Time of all threads on a core."""
    queued_s: float
    """Time of all threads in the queue for a core."""

    @property
    def worked_s(self) -> float:
        """Both: the time in which the process had something to do."""
        return self.computed_s + self.queued_s


def sample(pid: int) -> Sample:
    """Look at a process now."""
    folder = f'/proc/{pid}'
    try:
        state = _stat_fields(folder)[0]
        times = [_times_ns(f'{folder}/task/{task}') for task in os.listdir(f'{folder}/task')]
    except OSError:
        return Sample('', 0.0, 0.0)
    computed, queued = (sum(column) * 1e-9 for column in zip(*times, strict=True))
    return Sample(state, computed, queued)


def is_frozen(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger; cheaper than :func:`sample`."""
    try:
        return _stat_fields(f'/proc/{pid}')[0] in STOPPED
    except OSError:
        return False


def activity(before: Sample, after: Sample, span_s: float) -> Activity:
    """What happened between two samples that lie ``span_s`` seconds apart."""
    if after.state in ('', 'Z', 'X'):
        return Activity.GONE
    if after.state in STOPPED:
        return Activity.FROZEN
    queued_s = after.queued_s - before.queued_s
    if queued_s >= max(STARVED_SHARE * span_s, after.computed_s - before.computed_s):
        return Activity.STARVED
    if after.worked_s - before.worked_s >= BUSY_SHARE * span_s:
        return Activity.BUSY
    return Activity.ASLEEP


def is_starved(before: Sample, after: Sample) -> bool:
    """Whether a process waited for cores far more than it had them: others hold them.

    Four threads of its own on two cores wait as long as they compute; that is not starving.
    """
    computed_s = after.computed_s - before.computed_s
    queued_s = after.queued_s - before.queued_s
    return queued_s > max(STARVED_MIN_S, STARVED_RATIO * computed_s)


def descendants(pid: int) -> list[int]:
    """All processes under ``pid``, children before grandchildren; zombies left out."""
    children: dict[int, list[int]] = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                fields = _stat_fields(f'/proc/{name}')
            except OSError:
                continue  # it ended while we looked
            if fields[0] != 'Z':
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    queue = [pid]
    while queue:
        under = children.get(queue.pop(0), [])
        found += under
        queue += under
    return found


def _stat_fields(folder: str) -> list[str]:
    """The fields of stat from the state letter on: the name before may hold anything."""
    return _read(f'{folder}/stat').rpartition(b')')[2].decode().split()


def _times_ns(task: str) -> tuple[int, int]:
    try:
        on_core, queued, _ = _read(f'{task}/schedstat').split()
    except (OSError, ValueError):
        return 0, 0  # the thread ended, or the kernel keeps no such statistics
    return int(on_core), int(queued)


def _read(path: str) -> bytes:
    """A small file of /proc. Two hundred are read a second: open() costs five times as much."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _READ_BYTES)
    finally:
        os.close(descriptor)
