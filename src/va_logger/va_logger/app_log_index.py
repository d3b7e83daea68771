# SPDX-License-Identifier: Apache-2.0
"""Beside the application log: which lines are in it, so that a restarted logger goes on exactly.

First line: the state when the log file was begun; then one line per append. Not needed after a
power failure, since that ends the run, so it is not flushed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import errno
import json
import os
from pathlib import Path

from va_logger.append_file import disk_error
from va_logger.sequence_ranges import SeenLines, Sender


@dataclass
class IndexState:
    """What an index says."""

    run_id: str = ''
    inode: int = 0
    """Of the log file that ``size`` is about."""
    size: int = 0
    """Length of that file after the last append; what is behind it was never acknowledged."""
    seen: SeenLines = field(default_factory=SeenLines)


class AppLogIndex:
    """Written after each append, before it is acknowledged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self.size = 0
        """Bytes in the index."""

    def read(self) -> IndexState:
        """The state on disk; an empty one when there is none that can be read."""
        state = IndexState()
        try:
            lines = self._path.read_text(encoding='utf-8').split('\n')
            head = json.loads(lines[0])
            state.run_id, state.inode, state.size = head['run_id'], head['inode'], head['size']
            state.seen.load(head['seen'])
        except (OSError, ValueError, TypeError, KeyError):
            return IndexState()
        for line in lines[1:]:
            try:
                sender_id, source, first, count, size = json.loads(line)
            except (ValueError, TypeError):
                break  # the torn last line of a kill: its append was not acknowledged
            state.seen.add((sender_id, source), first, count)
            state.size = size
        return state

    def begin(self, state: IndexState) -> None:
        """Replace the index, atomically, and keep it open. Raises AssistantError DISK."""
        head = {'run_id': state.run_id, 'inode': state.inode, 'size': state.size,
                'seen': state.seen.dump()}
        text = json.dumps(head) + '\n'
        fresh = self._path.with_suffix('.new')
        self.close()
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(text, encoding='utf-8')
            fresh.replace(self._path)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(self._path, error) from error
        self.size = len(text.encode())

    def note(self, sender: Sender, first: int, count: int, size: int) -> None:
        """Append what was appended to the log. AssistantError DISK: nothing is noted."""
        data = (json.dumps([*sender, first, count, size]) + '\n').encode()
        try:
            if os.write(self._fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if self._fd >= 0:
                os.ftruncate(self._fd, self.size)
            raise disk_error(self._path, error) from error
        self.size += len(data)

    def remove(self) -> None:
        """Delete the index of another run. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
