# SPDX-License-Identifier: Apache-2.0
"""Dialogs as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from va_logger.dialog_files import Dialog
from va_logger.log_time import unix


def list_lines(dialogs: list[Dialog]) -> Iterator[str]:
    """One line per dialog: when, how long, how it began."""
    yield f'{"dialog":<30} {"began":<19} {"turns":>5} {"records":>7}  first words'
    for dialog in dialogs:
        began = _local(dialog.records[0]) if dialog.records else '-'
        spoken = dialog.of_role('USER')
        words = _shorten(str(spoken[0].get('text', '')), 40) if spoken else ''
        yield (f'{dialog.dialog_id:<30} {began[:19]:<19} {dialog.turns:>5} '
               f'{len(dialog.records):>7}  {words}')


def dialog_lines(dialog: Dialog) -> Iterator[str]:
    """A dialog, one line per record."""
    yield f'dialog {dialog.dialog_id}'
    for record in dialog.records:
        data = record.get('data')
        fields = data if isinstance(data, dict) else {}
        yield (f'{record.get("sequence", 0):>4} {_local(record)[11:]}  turn {record.get("turn")}  '
               f'{record.get("role")!s:<9}  {_content(record, fields)}').rstrip()


def _content(record: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    if record.get('role') == 'LATENCY':
        milliseconds = data.get('voice_to_voice_ms')
        return f'voice to voice {milliseconds:.0f} ms' if milliseconds else 'no reply'
    parts = [str(record.get('text', ''))]
    parts += [f'{key}={value}' for key, value in data.items()]
    return printable('  '.join(part for part in parts if part))


def _local(record: Mapping[str, Any]) -> str:
    try:
        stamp = datetime.fromtimestamp(unix(str(record.get('stamp'))))
    except (ValueError, OverflowError, OSError):
        return '????-??-?? ??:??:??.???'
    return stamp.isoformat(sep=' ', timespec='milliseconds')


def _shorten(text: str, length: int) -> str:
    text = printable(text)
    return text if len(text) <= length else text[:length - 3] + '...'


def printable(text: str) -> str:
    """Text that cannot steer the terminal."""
    return ''.join(c if c.isprintable() else ' ' for c in text)
