# SPDX-License-Identifier: Apache-2.0
"""What was done with which input, so that nothing is done twice and nothing half."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import hashlib
import os
from pathlib import Path

SKIPPED = {'__pycache__', 'test', '.pytest_cache', '.mypy_cache', '.ruff_cache'}


def digest(*parts: str) -> str:
    """Return one hash of several texts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() + b'\0')
    return total.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files that matter to a build, in a fixed order."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in SKIPPED and not name.endswith('.egg-info'))
        for name in sorted(names):
            if not name.endswith('.pyc'):
                yield Path(path, name)


def file_digest(paths: Iterable[Path]) -> str:
    """Return one hash of the names and contents of files; a missing file counts as empty."""
    total = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b''
        total.update(f'{path} {len(content)}\0'.encode() + content)
    return total.hexdigest()


class Stamps:
    """A folder with one small file per finished step: the hash of what went into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> str:
        """Return the stamp of a step; empty when it was not finished."""
        try:
            return (self._folder / name).read_text(encoding='utf-8')
        except OSError:
            return ''

    def put(self, name: str, value: str) -> None:
        """Record a finished step."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f'.{name}.new'
        temporary.write_text(value, encoding='utf-8')
        os.replace(temporary, self._folder / name)

    def drop(self, name: str) -> None:
        """Forget a step."""
        (self._folder / name).unlink(missing_ok=True)
