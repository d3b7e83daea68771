# SPDX-License-Identifier: Apache-2.0
"""What a turn tells (events) and what it asks for (requests)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from va_common.ids import TurnKey


class Kind(IntEnum):
    """As in ``va_interfaces/Transcript``."""

    STARTED = 0
    PARTIAL = 1
    FINAL = 2
    NOTICED = 3
    WITHDRAWN = 4
    RESUMED = 5


class Outcome(IntEnum):
    """As in ``va_interfaces/Transcript``."""

    SPEECH = 0
    NO_SPEECH = 1
    STOPPED = 2
    FAILED = 3
    STOP = 4


@dataclass(frozen=True)
class TurnEvent:
    """One ``Transcript``; times in Unix seconds, 0 when not known."""

    key: TurnKey
    kind: Kind
    outcome: Outcome = Outcome.SPEECH
    text: str = ''
    language: str = ''
    confidence: float = 0.0
    speech_start_s: float = 0.0
    speech_end_s: float = 0.0
    endpoint_s: float = 0.0
    endpoint_reason: str = ''
    error_code: int = 0
    error_msg: str = ''


@dataclass(frozen=True)
class TranscribeRequest:
    """Transcribe [from_s, to_s) of the microphone for a revision of the turn."""

    revision: int
    from_s: float
    to_s: float
    voiced_s: float
    glimpse: bool = False
    """The user still speaks: it is asked only whether there are words."""
    quick: bool = False
    """Most likely there are none: no second look at what is hopeless."""


@dataclass(frozen=True)
class JudgeRequest:
    """Judge whether the turn is over."""

    revision: int
    stretches: tuple[tuple[float, float], ...]
    """Of the microphone, [from, to) each; the pauses between them are left out."""


Action = TurnEvent | TranscribeRequest | JudgeRequest
