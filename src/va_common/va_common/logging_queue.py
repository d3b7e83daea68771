# SPDX-License-Identifier: Apache-2.0
"""What waits for the logger: bounded queues of application log lines and dialog records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
import json
from typing import Any

from va_common.errors import AssistantError, ErrorCode

LINE_CAPACITY = 2000
LINE_CHARACTERS = 4000
LINES_PER_BATCH = 100
RECORD_CAPACITY = 20_000


@dataclass(frozen=True)
class AppLine:
    """One line for the application log."""

    level: str
    text: str
    stamp_s: float
    """Unix seconds."""


@dataclass(frozen=True)
class AppBatch:
    """Lines that are delivered together; line i has the number ``first_sequence + i``."""

    first_sequence: int
    lines: tuple[AppLine, ...]


@dataclass(frozen=True)
class Record:
    """One record of a dialog file."""

    turn: int
    record_id: str
    """Unique within the dialog; the same one is written once."""
    role: str
    text: str
    data_json: str
    """A JSON object, or empty."""
    stamp_s: float


def make_line(level: str, text: str, stamp_s: float) -> AppLine:
    """A line that can be sent as it is: no lone surrogates, no NUL, of a bounded length."""
    if len(text) > LINE_CHARACTERS:
        text = f'{text[:LINE_CHARACTERS]}... ({len(text)} characters)'
    return AppLine(level, _sendable(text), stamp_s)


def make_record(turn: int, record_id: str, role: str, text: str,
                data: Mapping[str, Any] | None, stamp_s: float) -> Record:
    """A record that can be sent as it is.

    Raises:
        AssistantError: INVALID_ARGUMENT, the turn is out of range or ``data`` is not JSON.
    """
    if not 0 <= turn < 2**32:
        message = f'turn {turn!r} of a dialog record: expected 0 to {2**32 - 1}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    try:
        data_json = json.dumps(dict(data), allow_nan=False) if data else ''
    except (TypeError, ValueError) as error:
        message = f'data of a dialog record: {error}; expected what JSON can carry'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message) from error
    return Record(turn, record_id, role, _sendable(text), data_json, stamp_s)


def _sendable(text: str) -> str:
    """Text as a ROS string can carry it: UTF-8, and no NUL, which would end it."""
    return text.encode('utf-8', 'replace').decode('utf-8').replace('\0', '\ufffd')


@dataclass(frozen=True, eq=False)
class DialogItem:
    """A record to append, or with no record a dialog to open."""

    dialog_id: str
    record: Record | None = None
    acknowledged: Future[int] = field(default_factory=Future)
    """Its number in the dialog file (0: opened), or the AssistantError it was refused with."""


class AppQueue:
    """Lines in order. When full the oldest unsent line goes, and a line says how many went."""

    def __init__(self, capacity: int = LINE_CAPACITY, batch_lines: int = LINES_PER_BATCH) -> None:
        self._capacity = capacity
        self._batch_lines = batch_lines
        self._lines: deque[AppLine] = deque()
        self._batch: AppBatch | None = None
        self._next_sequence = 1
        self._dropped = 0
        self._dropped_stamp_s = 0.0

    def __len__(self) -> int:
        """How many lines are not acknowledged."""
        return len(self._lines) + (len(self._batch.lines) if self._batch else 0)

    def add(self, line: AppLine) -> None:
        """Append a line."""
        if len(self._lines) >= self._capacity:
            oldest = self._lines.popleft()
            self._note_drops(1, oldest.stamp_s)
        self._lines.append(line)

    def current(self) -> AppBatch | None:
        """The lines to deliver now; the same batch with the same numbers until it is done."""
        if self._batch is None and (self._lines or self._dropped):
            count = min(self._batch_lines, len(self._lines))
            lines = self._take_drop_notice() + [self._lines.popleft() for _ in range(count)]
            self._batch = AppBatch(self._next_sequence, tuple(lines))
            self._next_sequence += len(lines)
        return self._batch

    def done(self, batch: AppBatch, sequence: int) -> Callable[[], object]:
        """The batch is in the log. Returns what to call once no lock is held."""
        self._batch = None
        return _nothing

    def refuse(self, batch: AppBatch, error: AssistantError) -> Callable[[], object]:
        """The logger will never take the batch: its lines count as dropped."""
        self._batch = None
        self._note_drops(len(batch.lines), batch.lines[0].stamp_s)
        return _nothing

    def _note_drops(self, count: int, stamp_s: float) -> None:
        if not self._dropped:
            self._dropped_stamp_s = stamp_s
        self._dropped += count

    def _take_drop_notice(self) -> list[AppLine]:
        if not self._dropped:
            return []
        text = f'{self._dropped} lines dropped: the logger did not take them in time'
        self._dropped = 0
        return [AppLine('WARNING', text, self._dropped_stamp_s)]


class DialogQueue:
    """Records in order; none is dropped. A full queue refuses new ones."""

    def __init__(self, on_refused: Callable[[DialogItem, AssistantError], None],
                 capacity: int = RECORD_CAPACITY) -> None:
        self._capacity = capacity
        self._items: deque[DialogItem] = deque()
        self._on_refused = on_refused

    def __len__(self) -> int:
        """How many records and openings are not acknowledged."""
        return len(self._items)

    def add(self, item: DialogItem) -> None:
        """Append an item.

        Raises:
            AssistantError: BUSY, the queue is full.
        """
        if len(self._items) >= self._capacity:
            message = f'dialog {item.dialog_id}: {self._capacity} records wait for the logger'
            raise AssistantError(ErrorCode.BUSY, f'{message}, no more are taken')
        self._items.append(item)

    def current(self) -> DialogItem | None:
        """The item to deliver now."""
        return self._items[0] if self._items else None

    def done(self, item: DialogItem, sequence: int) -> Callable[[], object]:
        """The item is on disk, as record ``sequence``. Returns what to call without a lock."""
        self._items.popleft()
        return partial(item.acknowledged.set_result, sequence)

    def refuse(self, item: DialogItem, error: AssistantError) -> Callable[[], object]:
        """The logger will never take the item. Returns what to call without a lock."""
        self._items.popleft()
        return partial(self._report, item, error)

    def _report(self, item: DialogItem, error: AssistantError) -> None:
        item.acknowledged.set_exception(error)
        self._on_refused(item, error)


def _nothing() -> None:
    """Nothing is left to do."""
