# SPDX-License-Identifier: Apache-2.0
"""Whether what was written last reached the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import threading
import time

from va_common.errors import AssistantError, ErrorCode

SLOW_WRITE_S = 5.0


class DiskHealth:
    """Notes how each write ended. Thread-safe.

    What fails in one place is not mended by a write in another: a file that is open still takes
    lines in a folder that takes no new file.

    Args:
        on_change: told the problem when the disk begins to fail, and None when it is well again.
        clock: steady seconds.
    """

    def __init__(self, on_change: Callable[[str | None], None] = lambda problem: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}
        self._running: dict[int, float] = {}
        self._writes = 0
        self.failed_writes = 0

    @property
    def problem(self) -> str | None:
        """What failed first; None when the last write to each place reached the disk."""
        with self._lock:
            if self._problems:
                return next(iter(self._problems.values()))
            oldest_s = min(self._running.values(), default=self._clock())
            if self._clock() - oldest_s > SLOW_WRITE_S:
                return f'a write has been waiting for the disk for more than {SLOW_WRITE_S:g} s'
            return None

    @contextmanager
    def writing(self, place: str = '') -> Iterator[None]:
        """Surrounds a write; an AssistantError DISK out of it is the problem.

        Args:
            place: which file is written; empty: a probe, whose success clears every place.
        """
        with self._lock:
            self._writes += 1
            token = self._writes
            self._running[token] = self._clock()
        try:
            yield
        except AssistantError as error:
            if error.code == ErrorCode.DISK:
                self._end(place, error.message)
            raise
        else:
            self._end(place, None)
        finally:
            with self._lock:
                self._running.pop(token, None)

    def _end(self, place: str, problem: str | None) -> None:
        with self._lock:
            was_well = not self._problems
            if problem is not None:
                self.failed_writes += 1
                # What failed first is the reason, whatever fails after it.
                self._problems.setdefault(place, problem)
            elif place:
                self._problems.pop(place, None)
            else:
                self._problems.clear()
            changed = was_well == bool(self._problems)
        if changed:
            self._on_change(problem)
