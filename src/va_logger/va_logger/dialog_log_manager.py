# SPDX-License-Identifier: Apache-2.0
"""One JSON-Lines file per dialog: numbered, each record once, on disk when acknowledged."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
import os
from pathlib import Path
import secrets
import threading
import time

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import new_dialog_id
from va_logger.append_file import AppendFile, disk_error, TornFileError
from va_logger.dialog_record import check_dialog_id, DialogRecord, read_state

SUFFIX = '.jsonl'
OPEN_FILES = 16
FILE_BYTES = 64 * 2**20
_DAY_S = 86_400.0


class DialogFile:
    """One dialog on disk. Opening it cuts off a last line that was torn by a kill or a crash.

    Raises:
        AssistantError: DISK.
    """

    def __init__(self, path: Path, dialog_id: str) -> None:
        self._dialog_id = dialog_id
        self._file = AppendFile(path)
        try:
            state = read_state(self._file.read() if self._file.size else b'')
            self.torn_bytes = self._file.size - state.whole_bytes
            if self.torn_bytes:
                self._file.truncate(state.whole_bytes)
        except AssistantError:
            self._file.close()
            raise
        self.damaged = state.damaged
        self._sequences = state.sequences
        self._last = state.last

    @property
    def deleted(self) -> bool:
        """Whether somebody removed the file."""
        return self._file.deleted

    def append(self, record: DialogRecord) -> int:
        """Append a record, or find it there already. Returns its number, from 1.

        Raises:
            AssistantError: DISK; INVALID_ARGUMENT, the dialog is too long.
        """
        known = self._sequences.get(record.record_id)
        if known is not None:
            return known
        line = record.to_line(self._dialog_id, self._last + 1)
        if self._file.size + len(line) > FILE_BYTES:
            message = f'dialog {self._dialog_id} is full: expected at most {FILE_BYTES} bytes'
            raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
        self._file.append(line)
        self._last += 1
        self._sequences[record.record_id] = self._last
        return self._last

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()


class DialogLogManager:
    """All dialogs of one folder, with a bounded number of open files. Thread-safe.

    Args:
        folder: exists, mode 0700.
        clock: Unix seconds.
        make_salt: four random hexadecimal digits for ids made here.
        on_mended: told (dialog_id, torn bytes, damaged lines) when a file was not whole.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time,
                 make_salt: Callable[[], str] = lambda: secrets.token_hex(2),
                 on_mended: Callable[[str, int, int], None] = lambda *what: None) -> None:
        self._folder = folder
        self._clock = clock
        self._make_salt = make_salt
        self._on_mended = on_mended
        self._lock = threading.Lock()
        self._open: OrderedDict[str, DialogFile] = OrderedDict()

    def new_dialog(self, dialog_id: str = '') -> str:
        """Make the file of a dialog, or find it. Returns its id, made here when empty.

        Raises:
            AssistantError: INVALID_ARGUMENT, DISK.
        """
        with self._lock:
            dialog_id = check_dialog_id(dialog_id) if dialog_id else self._unused_id()
            self._file(dialog_id)
            return dialog_id

    def write(self, dialog_id: str, record: DialogRecord) -> int:
        """Append a record to its dialog; it is on disk when this returns. Returns its number.

        Raises:
            AssistantError: INVALID_ARGUMENT, DISK.
        """
        check_dialog_id(dialog_id)
        with self._lock:
            try:
                return self._file(dialog_id).append(record)
            except TornFileError:
                self._open.pop(dialog_id).close()
                raise

    @property
    def open_files(self) -> int:
        """How many dialog files are open."""
        with self._lock:
            return len(self._open)

    def delete_older_than(self, days: int) -> list[str]:
        """Delete the dialogs last written more than ``days`` ago; 0: none.

        Returns:
            The ids that were deleted.

        Raises:
            AssistantError: DISK.
        """
        if days <= 0:
            return []
        limit_s = self._clock() - days * _DAY_S
        with self._lock:
            try:
                old = [path for path in self._folder.glob(f'*{SUFFIX}')
                       if path.lstat().st_mtime < limit_s]
                for path in old:
                    self._forget(path.stem)
                    path.unlink()
            except OSError as error:
                message = f'deleting dialogs older than {days} days: {error}'
                raise AssistantError(ErrorCode.DISK, message) from error
        return sorted(path.stem for path in old)

    def close(self) -> None:
        """Close all files; idempotent."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _path(self, dialog_id: str) -> Path:
        return self._folder / f'{dialog_id}{SUFFIX}'

    def _unused_id(self) -> str:
        while True:
            dialog_id = new_dialog_id(self._clock(), self._make_salt())
            if not os.path.lexists(self._path(dialog_id)):
                return dialog_id

    def _file(self, dialog_id: str) -> DialogFile:
        file = self._open.get(dialog_id)
        if file is not None and file.deleted:
            self._forget(dialog_id)
            file = None
        if file is None:
            file = self._open_file(dialog_id)
        self._open.move_to_end(dialog_id)
        return file

    def _open_file(self, dialog_id: str) -> DialogFile:
        self._restore_folder()
        file = DialogFile(self._path(dialog_id), dialog_id)
        self._open[dialog_id] = file
        if file.torn_bytes or file.damaged:
            self._on_mended(dialog_id, file.torn_bytes, file.damaged)
        while len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return file

    def _restore_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def _forget(self, dialog_id: str) -> None:
        file = self._open.pop(dialog_id, None)
        if file is not None:
            file.close()
