# SPDX-License-Identifier: Apache-2.0
"""What the dialog manager remembers of one turn, and the commands it collects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from va_common.ids import TurnKey
from va_loader.dialog_commands import CancelTimer, Command, SetTimer
from va_loader.dialog_events import Playback, PlaybackKind, ReplyPiece, SpeechPartial, TimerFired
from va_loader.turn_report import StageTimes

_REVISIONS_KEPT = 3
_EARLY_KEPT = 8


@dataclass
class Reply:
    """The text of one revision's reply so far."""

    first_s: float
    text: str = ''
    done: bool = False
    error_code: int = 0
    error_msg: str = ''


@dataclass
class Turn:
    """One turn: the user speaks, the assistant answers."""

    key: TurnKey
    """With the revision of the final text once that is there."""
    phrase: str
    word_end_s: float
    times: StageTimes = field(default_factory=StageTimes)
    started: bool = False
    """Whether the user began to speak."""
    speech_start_s: float = 0.0
    """When, if it was over the answer before."""
    begun_over: str = ''
    """What the assistant was saying to its end when the user seemed to begin."""
    partial: SpeechPartial | None = None
    """What the user has said up to his last pause."""
    final: bool = False
    """Whether the user's text is there."""
    text: str = ''
    """That text."""
    reported: bool = False
    """Whether its end is in the record."""
    audible: bool = False
    """Whether the reply began to play."""
    heard: str = ''
    """The reply as far as it was heard."""
    heard_before: str = ''
    """The part of it that was heard before tts was lost; tts tells of the rest only."""
    underruns: int = 0
    longest_gap_s: float = 0.0
    """The longest silence inside its reply because the next words were not ready."""
    gap: Playback | None = None
    """What told of a gap, until the next news of the reply tells how long it was."""
    sound_until_s: float = 0.0
    """Until when the sound lasts that tts has told of."""
    replies: dict[int, Reply] = field(default_factory=dict)
    """By revision: an answer that was made ahead may come before the final text."""
    early: list[Playback] = field(default_factory=list)
    """What tts told of it before the final text came."""
    todo: set[str] = field(default_factory=set)
    """llm, tts: what has to be made up for once that node is there."""
    replayed: list[str] = field(default_factory=list)
    """Nodes that the turn was replayed into; once each."""
    apology_due: bool = False
    passing_on: bool = False
    """Whether the pieces of the reply reach tts through the loader."""
    voice: int = 0
    """The revision that tts speaks; what it tells of older ones is of a dead attempt."""

    def is_of(self, key: TurnKey) -> bool:
        """Whether ``key`` means this turn, in whatever revision."""
        return (key.dialog_id, key.turn) == (self.key.dialog_id, self.key.turn)

    @property
    def reply(self) -> Reply | None:
        """The reply to the final text; None while there is none."""
        return self.replies.get(self.key.revision) if self.final else None

    @property
    def unanswered(self) -> bool:
        """Whether the user's question is there and its end is not in the record."""
        return self.final and not self.reported

    @property
    def voice_key(self) -> TurnKey:
        """The key that tts knows the reply by."""
        return replace(self.key, revision=max(self.voice, self.key.revision))

    def outdate_voice(self) -> None:
        """Let the reply go on to tts in a revision that is newer than all before."""
        self.voice = self.voice_key.revision + 1

    def ask_anew(self) -> None:
        """Forget the reply: it will be made again, in a revision newer than all before."""
        self.outdate_voice()
        self.key = replace(self.key, revision=self.voice)
        self.passing_on = self.audible = False
        self.heard = self.heard_before = ''
        self.times.first_token = self.times.first_synthesised = self.times.first_audio = 0.0

    def note_heard(self, text: str) -> None:
        """Take what tts says was heard."""
        if text:
            self.heard = f'{self.heard_before} {text}'.strip()

    def note_gap(self, event: Playback) -> None:
        """Take how the reply plays: beside what was heard since a gap began it was silent."""
        if self.gap is not None:
            silent_s = event.stamp_s - self.gap.stamp_s - (event.position_s - self.gap.position_s)
            self.longest_gap_s = max(self.longest_gap_s, silent_s)
        is_gap = event.kind is PlaybackKind.UNDERRUN
        self.underruns += is_gap
        self.gap = event if is_gap else None

    def note_early(self, event: Playback) -> None:
        """Keep what is known of the sound of an answer whose question is not here yet."""
        if len(self.early) < _EARLY_KEPT:
            self.early.append(event)

    def take(self, piece: ReplyPiece) -> None:
        """Add a piece to the reply of its revision; the oldest revision is forgotten."""
        revision = piece.key.revision
        reply = self.replies.setdefault(revision, Reply(piece.stamp_s))
        reply.text += piece.text
        reply.done = reply.done or piece.is_last
        reply.error_code = reply.error_code or piece.error_code
        reply.error_msg = reply.error_msg or piece.error_msg
        if len(self.replies) > _REVISIONS_KEPT:
            del self.replies[min(self.replies)]


class Outbox:
    """Collects the commands of one step and numbers the timers, so that old ones are ignored."""

    def __init__(self) -> None:
        self._commands: list[Command] = []
        self._tokens: dict[str, int] = {}
        self._count = 0

    def add(self, command: Command) -> None:
        """Append one command."""
        self._commands.append(command)

    def drain(self) -> list[Command]:
        """The commands since the last call, in order."""
        commands, self._commands = self._commands, []
        return commands

    def set_timer(self, name: str, at_s: float) -> None:
        """Set or move a timer."""
        self._count += 1
        self._tokens[name] = self._count
        self.add(SetTimer(name, at_s, self._count))

    def cancel_timer(self, name: str) -> None:
        """Forget a timer; nothing happens when it is not set."""
        if self._tokens.pop(name, None) is not None:
            self.add(CancelTimer(name))

    def cancel_timers(self) -> None:
        """Forget every timer."""
        for name in list(self._tokens):
            self.cancel_timer(name)

    def is_set(self, name: str) -> bool:
        """Whether a timer runs."""
        return name in self._tokens

    def take_fired(self, event: TimerFired) -> bool:
        """Whether a fired timer still counts; it is then no longer set."""
        if self._tokens.get(event.name) != event.token:
            return False
        del self._tokens[event.name]
        return True
