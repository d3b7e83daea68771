# SPDX-License-Identifier: Apache-2.0
"""The application log: one line per event, each once, reset at each start, rotated by size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
import os
from pathlib import Path
import threading

from va_common.errors import AssistantError
from va_common.logging_queue import AppLine
from va_logger.app_log_index import AppLogIndex, IndexState
from va_logger.append_file import AppendFile, disk_error, TornFileError
from va_logger.log_folder import APP_LOG, LAST_APP_LOG
from va_logger.log_time import iso

INDEX_BYTES = 1_000_000


class AppLogWriter:
    """Writes ``app.log``: ``ISO-time LEVEL source: text``. Thread-safe.

    A start moves the log of the run before (and its rotated parts) to ``app.last.log``. A logger
    that is restarted within one run, known by ``run_id``, goes on where the killed one stopped.

    Args:
        folder: exists.
        max_bytes: size at which ``app.log`` becomes ``app.log.1``.
        backups: rotated parts that are kept.
        run_id: one per run of the assistant; empty: each start is a new run.

    Raises:
        AssistantError: DISK.
    """

    def __init__(self, folder: Path, max_bytes: int, backups: int, run_id: str = '') -> None:
        self._folder = folder
        self._path = folder / APP_LOG
        self._max_bytes = max_bytes
        self._backups = backups
        self._lock = threading.Lock()
        self._index = AppLogIndex(folder / f'{APP_LOG}.index')
        self.lines_written = 0
        before = self._index.read()
        self.continued = bool(run_id) and before.run_id == run_id
        self._state = before if self.continued else IndexState(run_id)
        self._file: AppendFile | None = None
        try:
            if not self.continued:
                self._index.remove()
                self._keep_last_run()
            self._reopen()
        except OSError as error:
            raise disk_error(self._path, error) from error

    def write(self, sender: tuple[str, str], first_sequence: int,
              lines: Sequence[AppLine]) -> int:
        """Append the lines that are not in the log yet; all are on disk when this returns.

        Args:
            sender: sender_id and source.
            first_sequence: number of ``lines[0]``, counting up by one per line.

        Returns:
            How many were new.

        Raises:
            AssistantError: DISK; then none of the new ones is in the log.
        """
        with self._lock:
            new = self._state.seen.unseen(sender, first_sequence, len(lines))
            if not new:
                return 0
            data = ''.join(_format(lines[offset], sender[1]) for offset in new)
            try:
                self._append(data.encode('utf-8', 'replace'), sender, first_sequence, len(lines))
            except OSError as error:
                raise disk_error(self._path, error) from error
            self.lines_written += len(new)
            return len(new)

    def close(self) -> None:
        """Close the log; idempotent."""
        with self._lock:
            self._index.close()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _append(self, data: bytes, sender: tuple[str, str], first: int, number: int) -> None:
        file = self._usable_file(len(data))
        before = file.size
        try:
            file.append(data)
            if self._state.run_id:
                self._note(file, before, sender, first, number)
        except TornFileError:
            self._drop_file()
            raise
        self._state.size = file.size
        self._state.seen.add(sender, first, number)
        if self._index.size > INDEX_BYTES:
            self._index.begin(self._state)

    def _note(self, file: AppendFile, before: int, sender: tuple[str, str], first: int,
              number: int) -> None:
        try:
            self._index.note(sender, first, number, file.size)
        except AssistantError:
            file.truncate(before)
            raise

    def _usable_file(self, more_bytes: int) -> AppendFile:
        if self._file is not None and self._file.deleted:
            self._drop_file()
        if self._file is None:
            self._reopen()
        elif self._file.size and self._file.size + more_bytes > self._max_bytes:
            self._drop_file()
            _shift(self._path, self._backups)
            self._reopen()
        assert self._file is not None
        return self._file

    def _reopen(self) -> None:
        """Open the log and cut off what a killed logger had not acknowledged."""
        file = AppendFile(self._path)
        try:
            if self._state.inode == file.inode and self._state.size < file.size:
                file.truncate(self._state.size)
            self._state.inode, self._state.size = file.inode, file.size
            if self._state.run_id:
                self._index.begin(self._state)
        except AssistantError:
            file.close()
            raise
        self._file = file

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep_last_run(self) -> None:
        if not self._path.exists() or not self._path.stat().st_size:
            return
        last = self._folder / LAST_APP_LOG
        for number in count():
            here, there = _part(self._path, number), _part(last, number)
            if not here.exists() and not there.exists():
                break
            there.unlink(missing_ok=True)
            if here.exists():
                os.replace(here, there)


def _shift(path: Path, backups: int) -> None:
    """Rename ``app.log`` to ``.1``, ``.1`` to ``.2`` and so on; the last one goes."""
    for number in range(backups, 0, -1):
        older = _part(path, number - 1)
        if older.exists():
            os.replace(older, _part(path, number))


def _part(path: Path, number: int) -> Path:
    return path.with_name(f'{path.name}.{number}') if number else path


def _format(line: AppLine, source: str) -> str:
    text = line.text
    if not text.isprintable():
        text = ''.join(c if c.isprintable() else _escape(c) for c in text)
    return f'{iso(line.stamp_s)} {line.level} {source}: {text}\n'


def _escape(character: str) -> str:
    return character.encode('unicode_escape', 'replace').decode('ascii')
