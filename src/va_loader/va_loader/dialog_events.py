# SPDX-License-Identifier: Apache-2.0
"""What the dialog manager is told. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from va_common.ids import TurnKey


class Outcome(IntEnum):
    """How a turn of listening ended; the values of ``Transcript.outcome``."""

    SPEECH = 0
    NO_SPEECH = 1
    STOPPED = 2
    FAILED = 3
    STOP = 4


class PlaybackKind(IntEnum):
    """The values of ``PlaybackEvent.kind``."""

    STARTED = 0
    PROGRESS = 1
    FINISHED = 2
    INTERRUPTED = 3
    UNDERRUN = 4
    FAILED = 5
    PAUSED = 6
    RESUMED = 7


@dataclass(frozen=True)
class WakeHeard:
    """The wake word was heard, or push-to-talk was used."""

    stamp_s: float
    """When it was decided."""
    word_end_s: float
    phrase: str
    """Words to cut from the start of the text; empty for push-to-talk."""
    acknowledgement: str
    score: float = 1.0
    source: str = 'wake_word'
    """``wake_word`` or ``push_to_talk``."""
    dialog_id: str = ''
    """Id to give to a new dialog; empty: the manager makes one."""


@dataclass(frozen=True)
class SpeechStarted:
    """The user began to speak."""

    key: TurnKey
    stamp_s: float
    speech_start_s: float = 0.0
    """First voiced sample."""


@dataclass(frozen=True)
class SpeechNoticed:
    """Over the assistant's voice somebody perhaps begins to speak."""

    key: TurnKey


@dataclass(frozen=True)
class SpeechWithdrawn:
    """What was noticed or began held no words; stt listens on."""

    key: TurnKey


@dataclass(frozen=True)
class SpeechPartial:
    """What the user has said up to a pause; he may go on."""

    key: TurnKey
    stamp_s: float
    text: str
    language: str = ''
    confidence: float = 0.0
    speech_end_s: float = 0.0


@dataclass(frozen=True)
class SpeechFinal:
    """What the user said, or that nobody spoke."""

    key: TurnKey
    outcome: Outcome
    stamp_s: float
    """When the text was there."""
    text: str = ''
    language: str = ''
    confidence: float = 0.0
    speech_end_s: float = 0.0
    endpoint_s: float = 0.0
    endpoint_reason: str = ''
    error_msg: str = ''


@dataclass(frozen=True)
class ReplyPiece:
    """A piece of the reply's text."""

    key: TurnKey
    text: str
    is_last: bool
    stamp_s: float
    error_code: int = 0
    error_msg: str = ''


@dataclass(frozen=True)
class Playback:
    """What happens to the reply at the speaker."""

    key: TurnKey
    """With the revision of the text that is spoken."""
    kind: PlaybackKind
    stamp_s: float
    text: str = ''
    """Spoken so far."""
    remaining_s: float = 0.0
    """Known sound that has not been heard yet."""
    position_s: float = 0.0
    """Sound of it that was heard."""
    synthesised_s: float = 0.0
    """When the first of it was ready to play."""
    error_code: int = 0
    error_msg: str = ''


@dataclass(frozen=True)
class SpeakEnded:
    """A phrase that the manager had spoken (acknowledgement, apology) ended."""

    token: str
    error_code: int = 0
    error_msg: str = ''


@dataclass(frozen=True)
class SpeakBegun:
    """A phrase that the manager had spoken can be heard."""

    token: str


@dataclass(frozen=True)
class ReplayFailed:
    """A turn could not be handed over to its restarted node."""

    key: TurnKey
    node: str
    error_msg: str


@dataclass(frozen=True)
class ListenFailed:
    """stt refused to listen, or did not answer."""

    key: TurnKey
    error_msg: str


@dataclass(frozen=True)
class NodeLost:
    """A node crashed, hung or stopped serving; it is being restarted, or waits for its device."""

    name: str
    reason: str
    bearable: bool = False
    """Dialogs go on without it, for as long as need be."""


@dataclass(frozen=True)
class NodeBack:
    """The node serves again."""

    name: str


@dataclass(frozen=True)
class TimerFired:
    """A timer that the manager set has run out."""

    name: str
    token: int


@dataclass(frozen=True)
class Opened:
    """Every node is up: wakes count from now."""


@dataclass(frozen=True)
class Closed:
    """The assistant goes down: the dialog ends, wakes do not count."""

    reason: str


@dataclass(frozen=True)
class RulesChanged:
    """A live setting changed."""

    rules: DialogRules


@dataclass(frozen=True)
class DialogRules:
    """Times and phrases of a dialog, in seconds."""

    ack_delay_s: float = 0.35
    follow_up_s: float = 4.0
    """0: the dialog ends after each reply."""
    thinking_timeout_s: float = 30.0
    """From the final text to the first sound of the reply; then between two pieces of text."""
    no_speech_timeout_s: float = 8.0
    """stt's own; past it stt itself is taken for silent."""
    max_utterance_s: float = 30.0
    apologies: tuple[str, ...] = ('Sorry, something went wrong. Please ask again.',)
    """For a turn that is given up."""
    patience: tuple[str, ...] = ('Sorry, one moment.',)
    """For a turn that lost a node and will be answered all the same."""
    barge_in: bool = True
    """Whether the user may speak over an answer; else only the wake word ends it."""
    resume_s: float = 3.0
    """How long an answer is held without words of the user."""
    stop_phrases: tuple[str, ...] = ()
    """Said alone they end the turn, and are not answered."""


Event = (WakeHeard | SpeechStarted | SpeechNoticed | SpeechWithdrawn | SpeechPartial | SpeechFinal
         | ReplyPiece | Playback | SpeakBegun | SpeakEnded | ReplayFailed | ListenFailed
         | NodeLost | NodeBack | TimerFired | Opened | Closed | RulesChanged)
