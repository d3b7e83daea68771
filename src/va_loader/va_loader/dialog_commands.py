# SPDX-License-Identifier: Apache-2.0
"""What the dialog manager wants done. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from va_common.ids import TurnKey
from va_loader.turn_report import TurnReport


@dataclass(frozen=True)
class StartListening:
    """stt: hear one turn."""

    key: TurnKey
    listen_from_s: float
    wake_phrase: str
    no_speech_timeout_s: float
    """0: stt's own."""
    over_playback: bool = False
    """Whether the assistant speaks meanwhile."""
    stop_phrases: tuple[str, ...] = ()
    """Said alone they are nothing to answer."""


@dataclass(frozen=True)
class StopListening:
    """stt: stop hearing this turn."""

    key: TurnKey
    reason: str


@dataclass(frozen=True)
class Speak:
    """tts: speak a phrase of the loader's own; answered by SpeakEnded with the token."""

    token: str
    text: str
    key: TurnKey


@dataclass(frozen=True)
class CancelSpeak:
    """tts: that phrase gives way."""

    token: str


@dataclass(frozen=True)
class StopReply:
    """llm and tts: drop the work for this turn and everything older."""

    key: TurnKey
    reason: str


class How(IntEnum):
    """How a reply is heard; the values of ``Pause.what``."""

    GO_ON = 0
    DUCK = 1
    HOLD = 2


@dataclass(frozen=True)
class PauseReply:
    """tts: lower or hold the reply of this turn, or let it go on."""

    key: TurnKey
    how: How


@dataclass(frozen=True)
class DropAttempt:
    """tts: drop the revisions of this turn before this one; the turn goes on with it."""

    key: TurnKey
    reason: str


@dataclass(frozen=True)
class Said:
    """One turn of the dialog so far."""

    user: str
    assistant: str
    """As far as it was heard."""


@dataclass(frozen=True)
class AskAgain:
    """llm: answer this, with what was said before; answered only when it fails (ReplayFailed)."""

    key: TurnKey
    text: str
    """Empty: it is only told what was said before."""
    said: tuple[Said, ...]


@dataclass(frozen=True)
class PassOn:
    """tts: speak this piece of a reply, after those passed on before; see ReplayFailed."""

    key: TurnKey
    text: str
    is_last: bool


@dataclass(frozen=True)
class OpenDialog:
    """logger: open the file of a new dialog."""

    dialog_id: str


@dataclass(frozen=True)
class WriteRecord:
    """logger: append a record to the dialog's file."""

    key: TurnKey
    role: str
    """USER, ASSISTANT, EVENT or LATENCY."""
    stamp_s: float
    text: str = ''
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class SetTimer:
    """Answered by TimerFired at ``at_s``; replaces the timer of the same name."""

    name: str
    at_s: float
    token: int


@dataclass(frozen=True)
class CancelTimer:
    """Forget a timer."""

    name: str


@dataclass(frozen=True)
class ShowState:
    """Publish the dialog's state."""

    name: str
    """A state of ``/loader/state``."""
    key: TurnKey
    reason: str = ''


@dataclass(frozen=True)
class PublishReport:
    """Publish the stage times of a turn."""

    report: TurnReport


@dataclass(frozen=True)
class LogLine:
    """Application log: ids and reasons, never what was said."""

    level: str
    """debug, info or warning."""
    text: str


Command = (StartListening | StopListening | Speak | CancelSpeak | StopReply | PauseReply
           | DropAttempt | AskAgain | PassOn | OpenDialog | WriteRecord | SetTimer | CancelTimer
           | ShowState | PublishReport | LogLine)
