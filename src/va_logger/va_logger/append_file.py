# SPDX-License-Identifier: Apache-2.0
"""A file that only grows: an append is on disk as a whole, or it has not happened."""

from __future__ import annotations

import os
from pathlib import Path

from va_common.errors import AssistantError, ErrorCode

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class AppendFile:
    """An open file of mode 0600.

    Raises:
        AssistantError: DISK, it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, _FLAGS, 0o600)
            try:
                os.fchmod(self._fd, 0o600)
                self.size = os.fstat(self._fd).st_size
                self._sync_name()
            except OSError:
                self.close()
                raise
        except OSError as error:
            raise disk_error(path, error) from error

    @property
    def inode(self) -> int:
        """Tells this file from another one under the same name."""
        return os.fstat(self._fd).st_ino

    @property
    def deleted(self) -> bool:
        """Whether somebody removed the file; what is appended then would be lost."""
        return os.fstat(self._fd).st_nlink == 0

    def read(self) -> bytes:
        """The whole content, brought to disk first: it may come from a process that was killed.

        Raises:
            AssistantError: DISK.
        """
        try:
            os.fsync(self._fd)
            return _read_all(self._fd, self.size)
        except OSError as error:
            raise disk_error(self.path, error) from error

    def append(self, data: bytes) -> None:
        """Append and flush to disk.

        Raises:
            AssistantError: DISK; then the file is as it was before.
        """
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            self._take_back(error)
            raise disk_error(self.path, error) from error
        self.size += len(data)

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes. Raises TornFileError."""
        try:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
        except OSError as error:
            raise TornFileError(f'{self.path}: {error.strerror} on cutting it') from error
        self.size = size

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take_back(self, error: OSError) -> None:
        try:
            os.ftruncate(self._fd, self.size)
        except OSError as second:
            message = f'{self.path}: {error.strerror}, then {second.strerror} on undoing it'
            raise TornFileError(message) from error

    def _sync_name(self) -> None:
        """Bring the name of a new file to disk too."""
        if self.size:
            return
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class TornFileError(AssistantError):
    """Half an append may be in the file: it must be opened anew, which mends it."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.DISK, message)


def disk_error(path: Path, error: OSError) -> AssistantError:
    """The error of a file operation, with the name of the file."""
    return AssistantError(ErrorCode.DISK, f'{path}: {error.strerror}')


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]


def _read_all(fd: int, size: int) -> bytes:
    parts = []
    offset = 0
    while offset < size:
        part = os.pread(fd, size - offset, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b''.join(parts)
