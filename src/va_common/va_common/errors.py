# SPDX-License-Identifier: Apache-2.0
"""The error tree.

    Exception
    └── AssistantError(code, message)
        ├── ConfigError            va_common.config_loader
        └── ModelMissingError      va_common.model_catalogue
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Why something failed; the value of ``error_code`` in every result (uint16, 0 is success)."""

    OK = 0
    INVALID_ARGUMENT = 1
    NOT_ACTIVE = 2
    OUTDATED = 3
    BUSY = 4
    TIMEOUT = 5
    CANCELLED = 6
    ENGINE_FAILED = 7
    DEVICE_FAILED = 8
    UNAVAILABLE = 9
    DISK = 10
    MODEL_MISSING = 11
    INTERNAL = 99


class AssistantError(Exception):
    """A failure with a code for programs and one sentence for people.

    The sentence names the thing, its value and what was expected.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def error_of(error: BaseException) -> AssistantError:
    """Any exception as an :class:`AssistantError`; an unforeseen one becomes INTERNAL."""
    if isinstance(error, AssistantError):
        return error
    return AssistantError(ErrorCode.INTERNAL, f'{type(error).__name__}: {error}')
