# SPDX-License-Identifier: Apache-2.0
"""The dialog that a loader left open when it died, as its file on disk tells."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from va_common.ids import is_dialog_id, TurnKey

_TAIL_BYTES = 65_536


def find_unclosed(folder: Path) -> TurnKey | None:
    """The newest dialog of a folder, with its last turn, if its end is not in its record.

    Only a dialog that began with a wake: others are not the loader's. A folder or file that
    cannot be read has none; the logger tells of that.
    """
    try:
        paths = [path for path in folder.glob('d*.jsonl') if is_dialog_id(path.stem)]
        newest = max(paths, key=lambda path: path.stem, default=None)
        return None if newest is None else _unclosed(newest)
    except OSError:
        return None


def _unclosed(path: Path) -> TurnKey | None:
    with path.open('rb') as file:
        first = file.readline(_TAIL_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        last = list(_records(file.read()))
    if not last or not any(_is_event(record, 'wake') for record in _records(first)):
        return None
    if any(_is_event(record, 'dialog_end') for record in last):
        return None
    turns = [record['turn'] for record in last if isinstance(record.get('turn'), int)]
    return TurnKey(path.stem, max(turns, default=1))


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    """The whole records in a part of a file; torn lines at its ends are left out."""
    for line in data.split(b'\n'):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _is_event(record: dict[str, Any], text: str) -> bool:
    return record.get('role') == 'EVENT' and record.get('text') == text
