# SPDX-License-Identifier: Apache-2.0
"""What happens at the speaker, told as events with the times at which it is heard."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from va_common.errors import AssistantError, ErrorCode
from va_tts.heard import Heard

PROGRESS_S = 1.0
_SMALLEST_GAP_S = 0.005


class Kind(IntEnum):
    """The constants of va_interfaces/PlaybackEvent."""

    STARTED = 0
    PROGRESS = 1
    FINISHED = 2
    INTERRUPTED = 3
    UNDERRUN = 4
    FAILED = 5
    PAUSED = 6
    RESUMED = 7


class Source(IntEnum):
    """Where the text came from; the constants of va_interfaces/PlaybackEvent."""

    REPLY = 0
    SPEAK = 1
    STREAM = 2


@dataclass(frozen=True)
class Identity:
    """Whose sound it is."""

    source: Source
    utterance_id: str
    dialog_id: str = ''
    turn: int = 0
    revision: int = 0


@dataclass(frozen=True)
class PlaybackEvent:
    """One event."""

    kind: Kind
    identity: Identity
    stamp_s: float
    """Unix time at which it is heard."""
    text: str
    """Heard so far."""
    position_s: float
    duration_s: float
    underruns: int
    synthesised_s: float = 0.0
    """Unix time at which its first piece was ready to play; 0: it is not."""
    error_code: ErrorCode = ErrorCode.OK
    error_msg: str = ''


class PlaybackTracker:
    """Makes the events of one utterance from what the device was given. Used under one lock."""

    def __init__(self, identity: Identity, heard: Heard) -> None:
        self.identity = identity
        self.heard = heard
        self.underruns = 0
        self.synthesised_s = 0.0
        self._started = False
        self._seconds = 0
        self._pieces = 0
        self._dry_since_s: float | None = None
        self._paused = False

    @property
    def started(self) -> bool:
        """Whether STARTED was told."""
        return self._started

    def dry(self, start_s: float) -> None:
        """Note that silence is heard from ``start_s`` on; a gap only if more sound follows."""
        if self._started:
            self._dry_since_s = start_s

    def held(self, start_s: float) -> PlaybackEvent | None:
        """Note that it is silent from ``start_s`` on because it is held: no gap."""
        if not self._started or self._paused:
            return None
        self._paused = True
        return self.event(Kind.PAUSED, start_s)

    def played(self, piece: int, start_s: float, frames: int) -> list[PlaybackEvent]:
        """Note that ``frames`` of ``piece`` are heard from ``start_s`` on."""
        self.heard.pieces[piece].add_run(start_s, frames, self.heard.rate)
        events = []
        if not self._started:
            self._started = True
            events.append(self.event(Kind.STARTED, start_s))
        if self._paused:
            self._paused, self._dry_since_s = False, None
            events.append(self.event(Kind.RESUMED, start_s))
        gap_since_s, self._dry_since_s = self._dry_since_s, None
        if gap_since_s is not None and start_s - gap_since_s > _SMALLEST_GAP_S:
            events.append(self.underrun(gap_since_s))
        return events

    @property
    def sounding(self) -> bool:
        """Whether it has begun and is not in a gap."""
        return self._started and self._dry_since_s is None

    def underrun(self, stamp_s: float) -> PlaybackEvent:
        """Count a gap inside the utterance."""
        self.underruns += 1
        return self.event(Kind.UNDERRUN, stamp_s)

    def progress(self, now_s: float) -> PlaybackEvent | None:
        """PROGRESS when another second or another piece has begun to be heard."""
        if not self._started:
            return None
        seconds = int(self.heard.position_s(now_s) / PROGRESS_S)
        pieces = self.heard.begun(now_s)
        is_news = seconds > self._seconds or pieces > max(1, self._pieces)
        self._seconds, self._pieces = max(seconds, self._seconds), max(pieces, self._pieces)
        return self.event(Kind.PROGRESS, now_s) if is_news else None

    def event(self, kind: Kind, stamp_s: float,
              error: AssistantError | None = None) -> PlaybackEvent:
        """An event of this utterance at ``stamp_s``."""
        return PlaybackEvent(
            kind=kind, identity=self.identity, stamp_s=stamp_s, text=self.heard.text(stamp_s),
            position_s=self.heard.position_s(stamp_s), duration_s=self.heard.duration_s,
            underruns=self.underruns, synthesised_s=self.synthesised_s,
            error_code=ErrorCode.OK if error is None else error.code,
            error_msg='' if error is None else error.message)
