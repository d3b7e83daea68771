# SPDX-License-Identifier: Apache-2.0
"""One thing to say: its text in pieces, their sound, and how far it got."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_tts.heard import Heard, PieceSound
from va_tts.playback_events import Identity, PlaybackTracker
from va_tts.text_pieces import PieceSplitter

MAX_TEXT = 20_000
"""Characters of one utterance at most: about 25 minutes of speech."""


@dataclass(frozen=True)
class Request:
    """Who says what how."""

    identity: Identity
    voice: str
    speed: float
    revision: int = 0

    @property
    def key(self) -> TurnKey:
        """The turn it belongs to."""
        return TurnKey(self.identity.dialog_id, self.identity.turn, self.revision)


@dataclass(frozen=True)
class Outcome:
    """How an utterance ended."""

    code: ErrorCode
    message: str
    heard: str
    duration_s: float
    """Seconds of it that were heard."""


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
    splitter: PieceSplitter
    heard: Heard
    touched_s: float
    """When text last came, on the steady clock."""
    pieces: list[Piece] = field(default_factory=list)
    complete: bool = False
    next_sequence: int = 0
    length: int = 0
    error: AssistantError | None = None
    """Why it failed although what there is of it is spoken."""
    done: Future[Outcome] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.tracker = PlaybackTracker(self.request.identity, self.heard)

    def texts(self, text: str, is_last: bool) -> list[str]:
        """Take more text and return the pieces that it completes.

        Raises:
            AssistantError: INVALID_ARGUMENT when the utterance gets too long.
        """
        self.length += len(text)
        check_length(self.length)
        texts = self.splitter.feed(text)
        if is_last:
            self.complete = True
            texts += self.splitter.finish()
        return texts

    def add_piece(self, text: str, words: str, samples: Float32 | None = None) -> None:
        """Append a piece; without words it is silent, with samples it needs no synthesis."""
        piece = Piece(words)
        if samples is not None or not words:
            piece.state, piece.samples = PieceState.READY, samples
        self.pieces.append(piece)
        self.heard.pieces.append(PieceSound(text, silent=not words))

    def waiting(self) -> int | None:
        """Index of the next piece to synthesise."""
        for index, piece in enumerate(self.pieces):
            if piece.state is PieceState.WAITING:
                return index
        return None

    @property
    def all_sent(self) -> bool:
        """Whether the device's line has, or had, all pieces known so far."""
        return all(piece.state is PieceState.SENT for piece in self.pieces)

    @property
    def handed_over(self) -> bool:
        """Whether the device has every sample, and no more will come."""
        return self.complete and self.drained

    @property
    def drained(self) -> bool:
        """Whether the device has every sample known so far."""
        return self.all_sent and all(
            piece.handed_over >= piece.frames for piece in self.heard.pieces)


def check_length(length: int) -> None:
    """Raise AssistantError INVALID_ARGUMENT for a text that is too long."""
    if length > MAX_TEXT:
        message = f'text of {length} characters: expected at most {MAX_TEXT}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
