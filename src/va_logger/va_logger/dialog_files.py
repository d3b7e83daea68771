# SPDX-License-Identifier: Apache-2.0
"""Reads dialog files for people and tools; the logger need not run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from va_common.errors import AssistantError, ErrorCode
from va_logger.dialog_log_manager import SUFFIX
from va_logger.dialog_record import records

LAST = 'last'


@dataclass(frozen=True)
class Dialog:
    """One dialog as it is on disk."""

    dialog_id: str
    records: tuple[dict[str, Any], ...]
    """In order; fields as written by :class:`va_logger.dialog_record.DialogRecord`."""

    @property
    def turns(self) -> int:
        """Number of the last turn."""
        return max((record.get('turn', 0) for record in self.records), default=0)

    def of_role(self, role: str) -> list[dict[str, Any]]:
        """The records of one role."""
        return [record for record in self.records if record.get('role') == role]


def dialog_ids(folder: Path) -> list[str]:
    """The ids of all dialogs, the one that was opened last at the end."""
    return sorted(path.stem for path in folder.glob(f'*{SUFFIX}'))


def read_dialog(folder: Path, dialog_id: str) -> Dialog:
    """Read one dialog.

    Args:
        folder: the dialogs.
        dialog_id: an id, the unmistakable beginning of one, or ``last``.

    Raises:
        AssistantError: INVALID_ARGUMENT, there is no such dialog, or several; DISK, it cannot be
            read.
    """
    dialog_id = _find(folder, dialog_id)
    path = folder / f'{dialog_id}{SUFFIX}'
    try:
        return Dialog(dialog_id, tuple(records(path.read_bytes())))
    except OSError as error:
        raise AssistantError(ErrorCode.DISK, f'{path}: {error.strerror}') from error


def _find(folder: Path, wanted: str) -> str:
    ids = dialog_ids(folder)
    if wanted == LAST and ids:
        return ids[-1]
    matches = [wanted] if wanted in ids else [i for i in ids if i.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    found = f'{len(matches)} of them' if matches else 'none'
    message = f'dialog {wanted!r} in {folder}: found {found}, expected one; see ./va log --dialogs'
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
