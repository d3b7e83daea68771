# SPDX-License-Identifier: Apache-2.0
"""A reply that is made ready before it is known whether it will be wanted.

It stands in no line: only when the same reply begins on /llm/chunk it becomes what is spoken.
"""

from __future__ import annotations

from collections.abc import Callable

from va_common.ids import TurnKey
from va_tts.utterance import Piece, PieceState, Request, Utterance

READY_PIECES = 2
"""Pieces that are synthesised ahead: while the first is heard there is time for the others."""
MAX_AGE_S = 30.0
"""A draft of which nothing was heard for so long comes from a process that is gone."""


class Drafts:
    """Keeps the newest draft. Used under the lock of the queue that owns it.

    Args:
        make: makes an empty utterance.
        abort: ends the synthesis of the utterance of a number.
        clock: a steady clock in seconds.
    """

    def __init__(self, make: Callable[[Request], Utterance], abort: Callable[[int], None],
                 clock: Callable[[], float]) -> None:
        self._make = make
        self._abort = abort
        self._clock = clock
        self._draft: Utterance | None = None

    def add(self, request: Request, sequence: int, text: str, is_last: bool) -> None:
        """Take the next chunk of a draft; one with a gap before it is of no use.

        Raises:
            AssistantError: INVALID_ARGUMENT when it gets too long.
        """
        if sequence == 0:
            self.drop()
            self._draft = self._make(request)
        draft = self._draft
        if draft is None or draft.request != request or sequence != draft.next_sequence:
            return
        draft.next_sequence += 1
        draft.touched_s = self._clock()
        draft.add_ahead(text, is_last)

    def find(self, number: int | None) -> Utterance | None:
        """The draft of that number."""
        draft = self._draft
        return draft if draft is not None and draft.number == number else None

    def waiting(self) -> tuple[Utterance, int] | None:
        """The next piece to synthesise ahead."""
        draft = self._draft
        index = None if draft is None else draft.waiting()
        if draft is None or index is None or index >= READY_PIECES:
            return None
        return draft, index

    def give_way(self, number: int | None) -> None:
        """End the synthesis of the draft of that number; its piece is made later."""
        draft = self.find(number)
        if draft is not None:
            for piece in draft.pieces:
                if piece.state is PieceState.WORKING:
                    piece.state = PieceState.WAITING
            self._abort(draft.number)

    def failed(self, piece: Piece) -> None:
        """A piece could not be made; one that gave way is made later."""
        if piece.state is PieceState.WORKING:
            self.drop()

    def adopt(self, request: Request, text: str) -> Utterance | None:
        """Give the draft away as the reply that begins; older drafts are dropped.

        Args:
            request: who speaks how.
            text: the beginning of the reply: all of the draft that there is, and perhaps more.

        Returns:
            None when there is no draft of this, or the reply differs from it.
        """
        draft = self._draft
        if draft is None or draft.request != request or not text.startswith(draft.given):
            self.drop(request.key)
            return None
        self._draft = None
        draft.next_sequence = 0
        return draft

    def drop(self, newest: TurnKey | None = None) -> None:
        """Forget the draft.

        Args:
            newest: only if it is of this turn and revision or an older one.
        """
        draft = self._draft
        if draft is not None and (newest is None or draft.request.key <= newest):
            self._draft = None
            self._abort(draft.number)

    def drop_stale(self) -> None:
        """Forget a draft of which nobody has spoken for long."""
        if self._draft is not None and self._clock() - self._draft.touched_s > MAX_AGE_S:
            self.drop()
