# SPDX-License-Identifier: Apache-2.0
"""The logger's services: checks a request, gives it to its writer, answers with a code."""

from __future__ import annotations

from collections.abc import Callable
import re
import time
from typing import Any, NoReturn, TypeVar

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.logging_queue import AppLine
from va_common.ros_time import to_seconds
from va_logger.app_log_writer import AppLogWriter
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.dialog_record import check_record
from va_logger.disk_health import DiskHealth

LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'FATAL')
LINES = 1000
LINE_CHARACTERS = 8192
_SOURCE = re.compile(r'[A-Za-z0-9_./~-]{1,100}')
_SENDER_ID = re.compile(r'[ -~]{0,128}')

Response = TypeVar('Response')

APPLICATION_LOG = 'application log'
"""A place of :class:`~va_logger.disk_health.DiskHealth`, beside each dialog's own."""


class RpcSink:
    """Answers the requests of ``logger/*``; never raises. Messages go in and out by duck type.

    Args:
        app_log: takes lines.
        dialogs: takes records.
        health: told how each write ended.
        on_refused: told why a request was refused, in words without personal data.
        clock: Unix seconds, for lines and records that carry no time.
    """

    def __init__(self, app_log: AppLogWriter, dialogs: DialogLogManager, health: DiskHealth,
                 on_refused: Callable[[str], None],
                 clock: Callable[[], float] = time.time) -> None:
        self._app_log = app_log
        self._dialogs = dialogs
        self._health = health
        self._on_refused = on_refused
        self._clock = clock
        self.records_written = 0

    def new_dialog(self, request: Any, response: Response) -> Response:
        """Service ``NewDialog``."""
        return self._answer('new_dialog', self._new_dialog, request, response)

    def write_dialog(self, request: Any, response: Response) -> Response:
        """Service ``WriteDialog``."""
        return self._answer('write_dialog', self._write_dialog, request, response)

    def write_app(self, request: Any, response: Response) -> Response:
        """Service ``WriteApp``."""
        return self._answer('write_app', self._write_app, request, response)

    def _answer(self, name: str, action: Callable[[Any, Any], None], request: Any,
                response: Response) -> Response:
        answer: Any = response
        try:
            action(request, answer)
        except Exception as raised:
            error = error_of(raised)
            answer.error_code, answer.error_msg = int(error.code), error.message
            # A full disk is reported once, by the health; each retry would be a line.
            if error.code != ErrorCode.DISK:
                self._on_refused(f'{name} refused: {error.message}')
        return response

    def _new_dialog(self, request: Any, response: Any) -> None:
        with self._health.writing(f'dialog {request.dialog_id}'):
            response.dialog_id = self._dialogs.new_dialog(request.dialog_id)

    def _write_dialog(self, request: Any, response: Any) -> None:
        record = check_record(
            request.record_id, request.turn, request.role, request.text, request.data_json,
            self._time_of(request.stamp))
        with self._health.writing(f'dialog {request.dialog_id}'):
            response.sequence = self._dialogs.write(request.dialog_id, record)
        self.records_written += 1

    def _write_app(self, request: Any, response: Any) -> None:
        if not _SOURCE.fullmatch(request.source):
            _refuse(f'source {request.source[:100]!r}: expected a node name')
        if not _SENDER_ID.fullmatch(request.sender_id):
            _refuse('sender_id: expected at most 128 printable ASCII characters')
        lines = self._lines_of(request)
        with self._health.writing(APPLICATION_LOG):
            self._app_log.write(
                (request.sender_id, request.source), request.first_sequence, lines)

    def _lines_of(self, request: Any) -> list[AppLine]:
        count = len(request.lines)
        if count > LINES:
            _refuse(f'{count} lines: expected at most {LINES}')
        if len(request.levels) != count or len(request.stamps) not in (0, count):
            _refuse(f'{count} lines, {len(request.levels)} levels, {len(request.stamps)} stamps: '
                    'expected as many of each (or no stamps)')
        stamps = [self._time_of(stamp) for stamp in request.stamps] or [self._clock()] * count
        parts = zip(request.levels, request.lines, stamps, strict=True)
        return [_checked_line(level, text, stamp_s) for level, text, stamp_s in parts]

    def _time_of(self, stamp: Any) -> float:
        return to_seconds(stamp) or self._clock()


def _checked_line(level: str, text: str, stamp_s: float) -> AppLine:
    if level not in LEVELS:
        _refuse(f'level {level[:40]!r}: expected one of {", ".join(LEVELS)}')
    if len(text) > LINE_CHARACTERS:
        _refuse(f'a line of {len(text)} characters: expected at most {LINE_CHARACTERS}')
    return AppLine(level, text, stamp_s)


def _refuse(message: str) -> NoReturn:
    raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
