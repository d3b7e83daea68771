# SPDX-License-Identifier: Apache-2.0
"""One record of a dialog: what is allowed in it, and how it stands in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import json
import re
from typing import Any, NoReturn

from va_common.errors import AssistantError, ErrorCode
from va_logger.log_time import iso

ROLES = ('USER', 'ASSISTANT', 'EVENT', 'LATENCY')
TEXT_BYTES = 256 * 1024
DATA_BYTES = 256 * 1024
_LINE_ENDS = {0x85: '\\u0085', 0x2028: '\\u2028', 0x2029: '\\u2029'}
"""JSON allows these inside a line, readers that split at Unicode line ends do not."""
_DIALOG_ID = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')
_RECORD_ID = re.compile(r'[!-~]{1,128}')


@dataclass(frozen=True)
class DialogRecord:
    """A record that has been checked."""

    record_id: str
    turn: int
    role: str
    text: str
    data: dict[str, Any]
    stamp_s: float

    def to_line(self, dialog_id: str, sequence: int) -> bytes:
        """The record as a line of the file, with its newline."""
        fields = {
            'sequence': sequence, 'stamp': iso(self.stamp_s), 'dialog_id': dialog_id,
            'turn': self.turn, 'role': self.role, 'text': self.text, 'data': self.data,
            'record_id': self.record_id,
        }
        text = json.dumps(fields, ensure_ascii=False).translate(_LINE_ENDS)
        return text.encode('utf-8', 'replace') + b'\n'


def check_dialog_id(dialog_id: str) -> str:
    """Give ``dialog_id`` back when it is a plain file name. Raises AssistantError."""
    if not _DIALOG_ID.fullmatch(dialog_id):
        _refuse('dialog_id', dialog_id[:100], 'letters, digits, . _ -, 100 at most, no path')
    return dialog_id


def check_record(record_id: str, turn: int, role: str, text: str, data_json: str,
                 stamp_s: float) -> DialogRecord:
    """Make a record of what came over the wire.

    The messages name no text: it is personal data.

    Raises:
        AssistantError: INVALID_ARGUMENT, with what is wrong and what was expected.
    """
    if not _RECORD_ID.fullmatch(record_id):
        _refuse('record_id', record_id[:128], '1 to 128 printable ASCII characters')
    if role not in ROLES:
        _refuse('role', role[:40], 'one of ' + ', '.join(ROLES))
    _check_size('text', text, TEXT_BYTES)
    _check_size('data_json', data_json, DATA_BYTES)
    return DialogRecord(record_id, turn, role, text, _parse_data(data_json), stamp_s)


def _parse_data(data_json: str) -> dict[str, Any]:
    if not data_json.strip():
        return {}
    try:
        data = json.loads(data_json, parse_constant=_no_constant)
        json.dumps(data, allow_nan=False)  # 1e999 reads as infinity
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        message = f'data_json of {len(data_json)} characters: expected a JSON object'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return data


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f'{word} is not JSON')


def _check_size(name: str, text: str, limit: int) -> None:
    size = len(text.encode('utf-8', 'replace'))
    if size > limit:
        _refuse(name, f'{size} bytes', f'at most {limit}')


def _refuse(name: str, value: str, expected: str) -> NoReturn:
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, f'{name} {value!r}: expected {expected}')


@dataclass(frozen=True)
class FileState:
    """What a dialog file holds already."""

    sequences: dict[str, int]
    """Number of each record id."""
    last: int
    """Number of the last record."""
    whole_bytes: int
    """Length without a torn last line."""
    damaged: int
    """Lines that are no records; they are left alone."""


def read_state(content: bytes) -> FileState:
    """Find the record ids in a dialog file, and where a torn last line begins."""
    whole_bytes = content.rfind(b'\n') + 1
    sequences: dict[str, int] = {}
    last = damaged = 0
    for number, line in enumerate(content[:whole_bytes].split(b'\n')[:-1], start=1):
        fields = parse_line(line)
        if fields is None:
            damaged += 1
        else:
            sequences[fields['record_id']] = fields['sequence']
        last = max(last, number, fields['sequence'] if fields else 0)
    return FileState(sequences, last, whole_bytes, damaged)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The fields of one line of a dialog file; None when it is damaged."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    good = (isinstance(fields, dict) and isinstance(fields.get('record_id'), str)
            and isinstance(fields.get('sequence'), int))
    return fields if good else None


def records(content: bytes) -> Iterable[dict[str, Any]]:
    """The undamaged records of a dialog file, in order."""
    for line in content.split(b'\n'):
        fields = parse_line(line) if line else None
        if fields is not None:
            yield fields
