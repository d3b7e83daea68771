# SPDX-License-Identifier: Apache-2.0
"""A model as its library has optimised it, kept on disk: loading it takes half the time.

Plain files, no library: what writes and reads them is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
import hashlib
import os
from pathlib import Path
import shutil
import tempfile
import time
from typing import TypeVar

from va_common.model_catalogue import sha256_of

UNUSED_S = 7 * 24 * 3600.0
"""Copies for other versions, and what a kill has left half written, are deleted after so long."""
_SUMS = 'sha256'
_PREFIX = 'model-'

T = TypeVar('T')


class ModelCache:
    """The copy of one model, in a folder that other models and processes may share.

    Args:
        folder: need not exist; where nothing can be written, nothing is kept.
        depends_on: what the copy depends on: the model's sum, the library's version.
        room_bytes: what must be free on the disk for a copy to be made.
    """

    def __init__(self, folder: Path, depends_on: Sequence[str], room_bytes: int) -> None:
        name = hashlib.sha256('\n'.join(depends_on).encode()).hexdigest()[:16]
        self._folder = folder
        self._copy = folder / f'{_PREFIX}{name}'
        self._room_bytes = room_bytes

    def find(self) -> Path | None:
        """The folder with the copy; None when there is none. A damaged one is deleted."""
        try:
            is_whole = (self._copy / _SUMS).read_text() == _sums(self._copy)
        except (OSError, ValueError):
            is_whole = False
        if not is_whole:
            self.drop()
            return None
        with suppress(OSError):  # of a disk that may only be read
            os.utime(self._copy)
        return self._copy

    def drop(self) -> None:
        """Delete the copy."""
        shutil.rmtree(self._copy, ignore_errors=True)

    def fill(self, make: Callable[[Path], T]) -> T | None:
        """Let ``make`` write a copy into a folder; a process killed meanwhile leaves no half.

        Returns:
            What ``make`` returned; None when it failed, or the disk does not take a copy.
        """
        try:
            part = self._new_folder()
        except OSError:
            return None
        if part is None:
            return None
        made: T | None = None
        try:
            made = make(part)
            (part / _SUMS).write_text(_sums(part))
            part.rename(self._copy)
        except Exception:
            # No copy, or another process was faster: the next start sees to it.
            shutil.rmtree(part, ignore_errors=True)
        return made

    def _new_folder(self) -> Path | None:
        """A folder to write into; None without the room. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._folder.glob(f'{_PREFIX}*'):
            with suppress(FileNotFoundError):  # another process deletes it too
                if time.time() - path.stat().st_mtime > UNUSED_S:
                    shutil.rmtree(path, ignore_errors=True)
        if shutil.disk_usage(self._folder).free < self._room_bytes:
            return None
        return Path(tempfile.mkdtemp(dir=self._folder, prefix=f'{_PREFIX}part-'))


def _sums(folder: Path) -> str:
    """A line for each file of a copy. Raises OSError."""
    files = sorted(path for path in folder.iterdir() if path.name != _SUMS)
    return ''.join(f'{sha256_of(path)} {path.name}\n' for path in files)
