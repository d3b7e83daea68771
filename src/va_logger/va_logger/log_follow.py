# SPDX-License-Identifier: Apache-2.0
"""Follows the application log across rotation, reset and restart."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import threading
from typing import BinaryIO

POLL_S = 0.2
_TAIL_BYTES = 1_000_000
_LINE_BYTES = 100_000


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none when it does not exist."""
    file = _open(path)
    if file is None:
        return []
    with file:
        return _read_tail(file, lines)


def follow(path: Path, stop: threading.Event, lines: int = 10,
           poll_s: float = POLL_S) -> Iterator[str]:
    """Yield the last lines and then each new one, until ``stop`` is set.

    A file that is replaced (rotation, reset) is read to its end first, then the new one from its
    beginning. The file may appear later.
    """
    file = _open(path)
    if file is not None:
        yield from _read_tail(file, lines)
    while not stop.is_set():
        if file is not None:
            yield from _new_lines(file)
        if file is None or _replaced(path, file):
            if file is not None:
                yield from _new_lines(file)
                file.close()
            file = _open(path)
            if file is not None:
                continue
        stop.wait(poll_s)
    if file is not None:
        file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open('rb')
    except FileNotFoundError:
        return None


def _read_tail(file: BinaryIO, lines: int) -> list[str]:
    """The last lines; leaves the file behind the last whole one."""
    start = max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES)
    file.seek(start)
    whole, _, _ = file.read().rpartition(b'\n')
    file.seek(start + len(whole) + bool(whole))
    found = whole.decode('utf-8', 'replace').split('\n') if whole else []
    # Read from the middle, the first line lacks its beginning.
    return found[1 if start else 0:][-lines:] if lines else []


def _new_lines(file: BinaryIO) -> Iterator[str]:
    _step_back_if_cut(file)
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith(b'\n'):
            file.seek(start)
            return
        yield line[:-1].decode('utf-8', 'replace')


def _step_back_if_cut(file: BinaryIO) -> None:
    """A restarted logger cuts off what it had not acknowledged, and may write on at once."""
    at = min(file.tell(), os.fstat(file.fileno()).st_size)
    if at == 0 or os.pread(file.fileno(), 1, at - 1) == b'\n':
        file.seek(at)
        return
    start = max(0, at - _LINE_BYTES)
    before = os.pread(file.fileno(), at - start, start)
    file.seek(start + before.rfind(b'\n') + 1)


def _replaced(path: Path, file: BinaryIO) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True
