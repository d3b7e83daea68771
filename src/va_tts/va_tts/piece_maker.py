# SPDX-License-Identifier: Apache-2.0
"""Chooses what the synthesiser does next: the piece that is heard soonest, a draft, a phrase."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import threading

from va_common.audio_io import Float32
from va_common.errors import AssistantError
from va_tts.drafts import Drafts
from va_tts.synthesis import Job, Result, Synthesiser
from va_tts.utterance import PieceState, Utterance

MAX_AHEAD_S = 20.0
"""Seconds of sound that are synthesised before they are needed, at most."""

Phrase = tuple[Job, Callable[[Float32], None]]
"""A job, and what takes its sound."""


class PieceMaker:
    """Keeps the synthesiser busy. Its methods are called under ``lock``.

    Args:
        lock: of the queue that owns the utterances.
        drafts: what may be heard later; it gives way to what will be.
        piece_done: takes each piece's sound or error, in the worker, without the lock.
        warn: takes a line for the log.
    """

    def __init__(self, synthesiser: Synthesiser, lock: threading.RLock, drafts: Drafts,
                 piece_done: Callable[[Job, Result], None], warn: Callable[[str], None]) -> None:
        self._synthesiser = synthesiser
        self._lock = lock
        self._drafts = drafts
        self._piece_done = piece_done
        self._warn = warn
        self._phrases: list[Phrase] = []

    def prepare(self, phrases: Iterable[Phrase]) -> None:
        """Synthesise these whenever no utterance needs the worker; replaces earlier ones."""
        self._phrases = list(phrases)

    def kick(self, line: Sequence[Utterance], ahead_s: float) -> None:
        """Start the next job, if the worker is idle and the job will be needed soon.

        Args:
            line: the utterances in the order in which they will be heard.
            ahead_s: seconds of sound that wait already.
        """
        piece = next(((u, i) for u in line if (i := u.waiting()) is not None), None)
        if self._synthesiser.busy:
            if piece is not None:
                self._drafts.give_way(self._synthesiser.owner)
        elif piece is not None:
            if ahead_s < MAX_AHEAD_S:
                self._synthesise(*piece)
        elif (ahead := self._drafts.waiting()) is not None:
            self._synthesise(*ahead)
        elif self._phrases:
            self._synthesiser.start(self._phrases[0][0], self._phrase_done)

    def _synthesise(self, utterance: Utterance, index: int) -> None:
        piece, request = utterance.pieces[index], utterance.request
        piece.state = PieceState.WORKING
        job = Job(piece.words, request.voice, request.speed, utterance.number, index)
        self._synthesiser.start(job, self._piece_done)

    def _phrase_done(self, job: Job, result: Result) -> None:
        """Called in the worker."""
        with self._lock:
            keepers = [keep for other, keep in self._phrases if other == job]
            self._phrases = [phrase for phrase in self._phrases if phrase[0] != job]
        if isinstance(result, AssistantError):
            self._warn(f'a phrase could not be prepared: {result.message}')
            return
        for keep in keepers:
            keep(result)
