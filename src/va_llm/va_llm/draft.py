# SPDX-License-Identifier: Apache-2.0
"""An answer that is begun before it is known whether the user has said everything."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import re
import threading

from va_common.errors import AssistantError
from va_common.ids import TurnKey
from va_llm.engine import CancelToken, ChatMessage, Completion
from va_llm.reply_writer import cancelled, ReplyPiece, ReplyWriter

Publish = Callable[[ReplyPiece], None]
_WORD = re.compile(r'\w+')


class Draft:
    """One answer that becomes the reply only when the same question is asked in earnest.

    Until then its pieces go to ``tell``; from :meth:`promote` on they go where replies go, from
    the first word. Thread-safe: the engine's thread writes, the node's callbacks decide.

    Args:
        key: turn and revision of the text that is answered.
        text: that text.
        said: the dialog up to and with it, as the engine gets it.
        tell: takes the pieces of the draft, and its end.
        clock: steady seconds.
    """

    def __init__(self, key: TurnKey, text: str, said: tuple[ChatMessage, ...], tell: Publish,
                 clock: Callable[[], float]) -> None:
        self.key = key
        self.said = said
        self.cancel = CancelToken()
        self.future: Future[Completion] = Future()
        """Of the generation; set by the runner."""
        self._words = _words(text)
        self._tell = tell
        self._clock = clock
        self._writer = ReplyWriter(key, tell, clock)
        self._keep: Callable[[str], None] | None = None
        self._ended = self._failed = False
        self._lock = threading.Lock()
        self._go = threading.Event()
        self.cancel.on_cancel(self._go.set)

    def answers(self, key: TurnKey, text: str, said: tuple[ChatMessage, ...]) -> bool:
        """Whether it is the answer to this: the same revision, words and dialog before them."""
        return key == self.key and _words(text) == self._words and said[:-1] == self.said[:-1]

    @property
    def promoted(self) -> bool:
        """Whether it is the reply."""
        return self._keep is not None

    def wait(self, delay_s: float) -> None:
        """Wait so long, or until it is promoted or dropped."""
        self._go.wait(delay_s)

    def write(self, text: str) -> None:
        """Add text."""
        with self._lock:
            self._writer.write(text)

    def end(self, error: AssistantError | None = None) -> None:
        """There will be no more text."""
        with self._lock:
            self._ended, self._failed = True, error is not None
            self._finish(error)

    def promote(self, publish: Publish, keep: Callable[[str], None]) -> bool:
        """Make it the reply.

        Args:
            publish: takes the pieces of the reply, all that there are at once.
            keep: takes the whole text at the end.

        Returns:
            False when it was dropped or has failed.
        """
        with self._lock:
            if self._failed or self.cancel.cancelled or self._keep is not None:
                return False
            self._keep = keep
            draft = self._writer
            self._writer = ReplyWriter(self.key, publish, self._clock, draft.first_s)
            self._writer.write(draft.text)
            if self._ended:
                self._finish(None)
            self._go.set()
            return True

    def drop(self, reason: str) -> None:
        """Give it up, unless it is the reply by now: then it goes on."""
        with self._lock:
            if self._keep is not None or self.cancel.cancelled:
                return
            error = cancelled(reason)
            self._tell(ReplyPiece(self.key, self._writer.sequence, '', True, error))
            self.cancel.cancel(reason)
            self._writer.close()

    def _finish(self, error: AssistantError | None) -> None:
        if self._keep is not None:
            self._keep(self._writer.text)
        self._writer.end(error)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
