# SPDX-License-Identifier: Apache-2.0
"""A node's log lines: to stderr through rclpy and to the application log through the logger."""

from __future__ import annotations

import sys
import traceback

from rclpy.logging import LoggingSeverity
from rclpy.node import Node

from va_common.logging_client import LoggingClient

LINE_CHARACTERS = 1000
"""A line may repeat what a stranger sent: not all of it."""
_LEVELS = {'debug': 10, 'info': 20, 'warning': 30, 'error': 40}


class NodeLog:
    """Lines as ``text key=value``. Personal data (transcripts) does not belong here."""

    def __init__(self, node: Node, client: LoggingClient, level: str) -> None:
        self._logger = node.get_logger()
        self._logger.set_level(LoggingSeverity(_LEVELS[level]))
        self._client = client
        self._threshold = _LEVELS[level]

    def debug(self, text: str, **fields: object) -> None:
        """Log for developers."""
        self._write('debug', text, fields)

    def info(self, text: str, **fields: object) -> None:
        """Log what happens."""
        self._write('info', text, fields)

    def warning(self, text: str, **fields: object) -> None:
        """Log what may go wrong."""
        self._write('warning', text, fields)

    def error(self, text: str, exc_info: bool = False, **fields: object) -> None:
        """Log a failure; ``exc_info`` adds the traceback of the exception being handled."""
        self._write('error', text, fields)
        if exc_info:
            traceback.print_exc(file=sys.stderr)

    def _write(self, level: str, text: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < self._threshold:
            return
        pairs = ''.join(f' {key}={value}' for key, value in fields.items())
        line = f'{text}{pairs}'.replace('\n', ' | ')
        if len(line) > LINE_CHARACTERS:
            line = f'{line[:LINE_CHARACTERS]}... ({len(line)} characters)'
        # rclpy binds a severity to each calling line, so each level needs a line of its own.
        if level == 'debug':
            self._logger.debug(line)
        elif level == 'info':
            self._logger.info(line)
        elif level == 'warning':
            self._logger.warning(line)
        else:
            self._logger.error(line)
        self._client.app(level.upper(), line)
