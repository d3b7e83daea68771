# SPDX-License-Identifier: Apache-2.0
"""Identity of dialogs and turns: newer compares greater, so outdated work shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
import re
import threading

DIALOG_ID_PATTERN = re.compile(r'd\d{8}T\d{6}\.\d{6}-[0-9a-f]{4}')


def new_dialog_id(now_s: float, salt: str) -> str:
    """Make a dialog id that sorts by time.

    Args:
        now_s: Unix time in seconds.
        salt: four hexadecimal digits that tell two assistants of one microsecond apart.

    Returns:
        For example ``d20261122T102233.123456-1a2b``, times in UTC.

    Raises:
        ValueError: ``salt`` is not four hexadecimal digits.
    """
    stamp = datetime.fromtimestamp(now_s, tz=timezone.utc)
    dialog_id = f'd{stamp:%Y%m%dT%H%M%S.%f}-{salt}'
    if not is_dialog_id(dialog_id):
        raise ValueError(f'salt {salt!r}: expected four hexadecimal digits')
    return dialog_id


def is_dialog_id(text: str) -> bool:
    """Tell whether ``text`` has the form that :func:`new_dialog_id` makes."""
    return DIALOG_ID_PATTERN.fullmatch(text) is not None


@dataclass(frozen=True, order=True)
class TurnKey:
    """One turn of one dialog, in one revision. A newer one compares greater."""

    dialog_id: str
    turn: int = 0
    revision: int = 0


class Latest:
    """Keeps the newest :class:`TurnKey` seen. Thread-safe."""

    def __init__(self) -> None:
        self._key = TurnKey('')
        self._lock = threading.Lock()

    @property
    def key(self) -> TurnKey:
        """The newest key so far; an empty dialog id before the first."""
        with self._lock:
            return self._key

    def offer(self, key: TurnKey) -> bool:
        """Take ``key`` if it is not older than the newest. False: it is outdated."""
        with self._lock:
            if key < self._key:
                return False
            self._key = key
            return True
