# SPDX-License-Identifier: Apache-2.0
"""One thing to say: its text in pieces, their sound, and how far it got."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_tts.code_blocks import code_words
from va_tts.heard import Heard, PieceSound
from va_tts.kokoro_client import language_of
from va_tts.piece_length import first_length, Limits, limits
from va_tts.playback_events import Identity, Kind, PlaybackTracker, Source
from va_tts.playout import Playout
from va_tts.spoken_text import spoken
from va_tts.text_pieces import PieceSplitter, What
from va_tts.turn_gate import is_older

MAX_TEXT = 20_000
"""Characters of one utterance at most: about 25 minutes of speech."""


@dataclass(frozen=True)
class Request:
    """Who says what how."""

    identity: Identity
    voice: str
    speed: float

    @property
    def revision(self) -> int:
        """Of the text; a newer one outdates the older ones."""
        return self.identity.revision

    @property
    def key(self) -> TurnKey:
        """The turn it belongs to."""
        return TurnKey(self.identity.dialog_id, self.identity.turn, self.revision)

    def replies_to(self, dialog_id: str, turn: int) -> bool:
        """Whether it is the reply of that turn."""
        mine = (self.identity.source, self.key.dialog_id, self.key.turn)
        return mine == (Source.REPLY, dialog_id, turn)

    def outdates(self, other: Request) -> bool:
        """Whether ``other`` gives way: an older turn, or an older revision of the same text."""
        source, same_source = self.identity.source, self.identity.source is other.identity.source
        if same_source and self.key.dialog_id == other.key.dialog_id \
                and self.key.turn == other.key.turn:
            return source is not Source.SPEAK and other.revision < self.revision
        if Source.STREAM in (source, other.identity.source):
            return False
        older_turn = (other.key.dialog_id, other.key.turn) != (self.key.dialog_id, self.key.turn)
        return older_turn and is_older(other.key, self.key)


@dataclass(frozen=True)
class Outcome:
    """How an utterance ended."""

    code: ErrorCode
    message: str
    heard: str
    duration_s: float
    """Seconds of it that were heard."""


@dataclass(frozen=True)
class Ending:
    """That an utterance is over by itself, and how."""

    kind: Kind
    error: AssistantError | None
    stamp_s: float


class PieceState(Enum):
    """Where a piece is on its way."""

    WAITING = 'waiting'
    WORKING = 'working'
    READY = 'ready'
    SENT = 'sent'


@dataclass
class Piece:
    """A piece of an utterance; its text is in the utterance's ``heard``."""

    words: str
    """What to say, for the engine."""
    state: PieceState = PieceState.WAITING
    samples: Float32 | None = None
    """At the device's rate, while READY."""


@dataclass
class Utterance:
    """Guarded by the lock of the queue that holds it."""

    number: int
    request: Request
    heard: Heard
    pace: Callable[[], tuple[float, float]]
    """Seconds of sound in the line, and the synthesiser's real-time factor."""
    touched_s: float
    """When text last came, on the steady clock."""
    pieces: list[Piece] = field(default_factory=list)
    complete: bool = False
    next_sequence: int = 0
    given: str = ''
    """Text that it was given ahead; it comes again with the reply."""
    length: int = 0
    error: AssistantError | None = None
    """Why it failed although what there is of it is spoken."""
    done: Future[Outcome] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.tracker = PlaybackTracker(self.request.identity, self.heard)
        first = first_length(self.pace()[1], self.request.speed)
        self._splitter = PieceSplitter(self._limits, first)
        self._ended = False

    def add_text(self, text: str, is_last: bool) -> None:
        """Take more text.

        Raises:
            AssistantError: INVALID_ARGUMENT when the utterance gets too long.
        """
        text, self.given = text.removeprefix(self.given), ''
        self.length += len(text)
        check_length(self.length)
        self.complete = self._ended = is_last
        self._splitter.add(text)
        self._cut()

    def _cut(self) -> None:
        """Make the next piece, if none waits: then it is known how much sound is ahead of it."""
        unmade = (PieceState.WAITING, PieceState.WORKING)
        while all(piece.state not in unmade for piece in self.pieces):
            text = self._splitter.take(self._ended)
            if text is None:
                return
            self._add_piece(text, self._words(text))

    def _words(self, text: str) -> str:
        """What is said for the piece that was taken last."""
        language = language_of(self.request.voice)[:2]
        if self._splitter.what is What.TEXT:
            return spoken(text, language)
        return code_words(language) if self._splitter.what is What.CODE_BEGINS else ''

    def _limits(self) -> Limits:
        ahead_s, rtf = self.pace()
        return limits(ahead_s + self.unsent / self.heard.rate, rtf, self.request.speed)

    def add_ahead(self, text: str, is_last: bool) -> None:
        """Take more of the text of a draft.

        Raises:
            AssistantError: INVALID_ARGUMENT when it gets too long.
        """
        given, self.given = self.given, ''
        self.add_text(text, is_last)
        self.complete = False  # it ends when the reply does
        self.given = given + text

    def add_phrase(self, text: str, samples: Float32) -> None:
        """Take a whole text whose sound is there already, float32 (n,) at the device's rate."""
        self.complete = True
        self.length += len(text)
        self._add_piece(text, text, samples)

    def note_ready(self, now_s: float) -> None:
        """Remember when the first sound of it was there, Unix time."""
        self.tracker.synthesised_s = self.tracker.synthesised_s or now_s

    def _add_piece(self, text: str, words: str, samples: Float32 | None = None) -> None:
        """Append a piece; without words it is silent, with samples it needs no synthesis."""
        piece = Piece(words)
        if samples is not None or not words:
            piece.state, piece.samples = PieceState.READY, samples
        self.pieces.append(piece)
        self.heard.pieces.append(PieceSound(text, silent=not words))

    def send(self, playout: Playout) -> None:
        """Put what is ready in the line, up to the first piece that is not."""
        for index, piece in enumerate(self.pieces):
            if piece.state in (PieceState.WAITING, PieceState.WORKING):
                return
            if piece.state is PieceState.READY:
                samples, piece.samples, piece.state = piece.samples, None, PieceState.SENT
                self._send_piece(playout, index, samples)

    def _send_piece(self, playout: Playout, index: int, samples: Float32 | None) -> None:
        sound = self.heard.pieces[index]
        if samples is None or not len(samples):
            sound.silent = True
            return
        sound.frames = len(samples)
        playout.add(self.number, index, samples)

    @property
    def unsent(self) -> int:
        """Samples that are ready and not in the line yet."""
        return sum(len(piece.samples) for piece in self.pieces if piece.samples is not None)

    def waiting(self) -> int | None:
        """Index of the next piece to synthesise."""
        self._cut()
        for index, piece in enumerate(self.pieces):
            if piece.state is PieceState.WAITING:
                return index
        return None

    def ending(self, now_s: float, clock_s: float, timeout_s: float) -> Ending | None:
        """How it is over; None while it is not.

        Args:
            now_s: Unix time; clock_s: time of the steady clock.
            timeout_s: a stream that brings nothing for so long has failed.
        """
        if self.handed_over:
            if now_s < self.heard.end_s:
                return None
            kind = Kind.FINISHED if self.error is None else Kind.FAILED
            return Ending(kind, self.error, self.heard.end_s or now_s)
        silent_s = clock_s - self.touched_s
        if self.complete or not self.drained or silent_s <= timeout_s:
            return None
        message = f'the text stopped coming {silent_s:.1f} s ago, before its end'
        return Ending(Kind.FAILED, AssistantError(ErrorCode.TIMEOUT, message), now_s)

    @property
    def handed_over(self) -> bool:
        """Whether the device has every sample, and no more will come."""
        return self.complete and self.drained and not self._splitter.left

    @property
    def drained(self) -> bool:
        """Whether the device has every sample known so far."""
        return all(piece.state is PieceState.SENT for piece in self.pieces) and all(
            piece.handed_over >= piece.frames for piece in self.heard.pieces)


def check_length(length: int) -> None:
    """Raise AssistantError INVALID_ARGUMENT for a text that is too long."""
    if length > MAX_TEXT:
        message = f'text of {length} characters: expected at most {MAX_TEXT}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)


def check_text(text: str) -> None:
    """Raise AssistantError INVALID_ARGUMENT for a text that is empty or too long."""
    if not text.strip():
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, 'text is empty: expected words')
    check_length(len(text))


def refused_chunk(request: Request, sequence: int, why: str) -> AssistantError:
    """The error for a chunk that comes too late, or whose beginning never came."""
    message = f'chunk {sequence} of {request.identity.utterance_id} refused: {why}'
    return AssistantError(ErrorCode.OUTDATED, message)
