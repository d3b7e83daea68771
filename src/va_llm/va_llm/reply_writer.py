# SPDX-License-Identifier: Apache-2.0
"""One reply as it is written: pieces of text, numbered, ended exactly once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey

# Tokens within this time leave together: one message each would cost more than generating them.
_GATHER_S: Final = 0.05


@dataclass(frozen=True)
class ReplyPiece:
    """A piece of a reply, in order."""

    key: TurnKey
    sequence: int
    text: str
    is_last: bool = False
    error: AssistantError | None = None
    """Only in the last piece."""
    age_s: float = 0.0
    """How long its first word has been there."""


class ReplyWriter:
    """Gathers tokens into pieces and hands them to ``publish``.

    The first token leaves at once, later ones together every 50 ms or at the end of a sentence.

    Args:
        key: the turn.
        publish: takes each piece.
        clock: steady seconds.
        first_s: when the first word was there, if that was before.
    """

    def __init__(self, key: TurnKey, publish: Callable[[ReplyPiece], None],
                 clock: Callable[[], float], first_s: float | None = None) -> None:
        self.key = key
        self.first_s = first_s
        """When the first word was there; None: it is not."""
        self._publish = publish
        self._clock = clock
        self.sequence = 0
        """Number of the next piece."""
        self._written: list[str] = []
        self._waiting = ''
        self._last_s = -_GATHER_S
        self._ended = False

    @property
    def text(self) -> str:
        """All of the reply so far."""
        return ''.join(self._written)

    def write(self, text: str) -> None:
        """Add text; a reply that has ended takes none."""
        if self._ended or not text:
            return
        if not self._written:
            text = text.lstrip()
            if not text:
                return
        self._written.append(text)
        self._waiting += text
        now_s = self._clock()
        self.first_s = now_s if self.first_s is None else self.first_s
        if now_s - self._last_s >= _GATHER_S or text.rstrip().endswith(('.', '!', '?', ':', ';')):
            self._last_s = now_s
            self._send()

    def close(self) -> None:
        """Take and publish nothing any more."""
        self._ended = True

    def end(self, error: AssistantError | None = None) -> None:
        """Publish what waits, and the end; the first end counts."""
        if self._ended:
            return
        self._ended = True
        self._send(is_last=True, error=error)

    def _send(self, is_last: bool = False, error: AssistantError | None = None) -> None:
        age_s = 0.0
        if not self.sequence and self.first_s is not None:
            age_s = self._clock() - self.first_s
        piece = ReplyPiece(self.key, self.sequence, self._waiting, is_last, error, age_s)
        self.sequence += 1
        self._waiting = ''
        self._publish(piece)


def cancelled(reason: str) -> AssistantError:
    """The error of a reply that was stopped."""
    return AssistantError(ErrorCode.CANCELLED, f'stopped: {reason}')
