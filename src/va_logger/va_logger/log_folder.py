# SPDX-License-Identifier: Apache-2.0
"""Where the logs are, and that one logger at a time writes there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from va_common.errors import AssistantError, ErrorCode

APP_LOG = 'app.log'
LAST_APP_LOG = 'app.last.log'
DIALOGS = 'dialogs'
LOCK = '.lock'


class LogFolder:
    """The folders, made with mode 0700 where missing, held by a lock until :meth:`close`.

    Raises:
        AssistantError: DISK, a folder cannot be made or written; UNAVAILABLE, another logger
            holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dialogs = path / DIALOGS
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.dialogs.mkdir(mode=0o700, exist_ok=True)
            self.dialogs.chmod(0o700)
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._take_lock()
            self.probe()
        except AssistantError:
            self.close()
            raise

    def probe(self) -> None:
        """Write a block to the disk. Raises AssistantError DISK when that fails."""
        path = self.dialogs / '.probe'
        try:
            probe = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(probe, bytes(4096))
                os.fsync(probe)
            finally:
                os.close(probe)
                os.unlink(path)
        except OSError as error:
            raise _unusable(self.path, error) from error

    def free_mb(self) -> int:
        """Free space in MiB for an ordinary user."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize // 2**20

    def close(self) -> None:
        """Let another logger in; idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> LogFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode('ascii', 'replace').strip() or 'unknown'
            message = (f'log folder {self.path}: another logger (pid {holder}) writes there, '
                       'expected one per folder; give this one its own logger.log_dir')
            raise AssistantError(ErrorCode.UNAVAILABLE, message) from None
        try:
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, f'{os.getpid()}\n'.encode(), 0)
        except OSError as error:
            raise _unusable(self.path, error) from error


def _unusable(path: Path, error: OSError) -> AssistantError:
    where = f' ({error.filename})' if error.filename else ''
    message = f'log folder {path}: {error.strerror}{where}; expected a folder that can be written'
    return AssistantError(ErrorCode.DISK, message)
