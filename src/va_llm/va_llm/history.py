# SPDX-License-Identifier: Apache-2.0
"""What was said in the dialogs: bounded, and stable at its beginning so that prompt caches hit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
import threading

from va_llm.engine import ChatMessage

KEPT_DIALOGS = 4
CUT_OFF = ' …'
"""Ends an answer that the user did not let the assistant finish."""
# Tokenizers of SmolLM2, Qwen and Llama make 4 to 4.5 letters of English a token; 3 is safe.
_LETTERS_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 6


@dataclass
class Exchange:
    """One turn: what the user said and what the assistant answered so far."""

    turn: int
    user: str
    answer: str = ''
    heard: str | None = None
    """The answer as far as the user heard it, when it was cut off."""

    @property
    def assistant(self) -> str:
        """The answer; of one that was cut off what was heard, and a mark."""
        if self.heard is None:
            return self.answer
        kept = _up_to(self.answer, self.heard)
        if len(kept) >= len(self.answer):
            return self.answer
        return kept and f'{kept}{CUT_OFF}'


def estimate_tokens(text: str) -> int:
    """Tokens of a message, generously: letters / 3, and the marks around it."""
    return len(text) // _LETTERS_PER_TOKEN + _TOKENS_PER_MESSAGE


class History:
    """The messages of the newest dialogs. Thread-safe.

    When a dialog outgrows its bounds its older half goes at once rather than one turn each time:
    the turns that stay begin with the same words for several turns, so their prefill is kept.

    Args:
        turns: turns of a dialog that are remembered beside the current one; 0: none.
        tokens: bound for all of a dialog's messages, estimated.
    """

    def __init__(self, turns: int, tokens: int) -> None:
        self._turns = turns
        self._tokens = tokens
        self._dialogs: OrderedDict[str, list[Exchange]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, dialog_id: str, turn: int, user: str) -> tuple[ChatMessage, ...]:
        """Note what the user said in a turn and return the dialog up to it.

        The same turn again (a newer revision) replaces what was noted.
        """
        with self._lock:
            exchanges = self._dialogs[dialog_id] = self._with(dialog_id, turn, user)
            self._dialogs.move_to_end(dialog_id)
            while len(self._dialogs) > KEPT_DIALOGS:
                self._dialogs.popitem(last=False)
            return _messages(exchanges)

    def ahead(self, dialog_id: str, turn: int, user: str) -> tuple[ChatMessage, ...]:
        """What :meth:`begin` would return, and note nothing."""
        with self._lock:
            return _messages(self._with(dialog_id, turn, user))

    def restore(self, dialog_id: str, turn: int, said: Sequence[ChatMessage]) -> bool:
        """Take over what was said in a dialog before a turn, if none of it is known.

        Args:
            said: oldest first, user and assistant.

        Returns:
            Whether it was taken.
        """
        exchanges: list[Exchange] = []
        for message in said:
            if message.role == 'user':
                exchanges.append(Exchange(0, message.content))
            elif exchanges:
                exchanges[-1].answer = message.content
        for back, exchange in enumerate(reversed(exchanges), 1):
            exchange.turn = turn - back
        with self._lock:
            if any(e.turn < turn for e in self._dialogs.get(dialog_id, [])) or not exchanges:
                return False
            known = self._dialogs.setdefault(dialog_id, [])
            known[:0] = exchanges
            return True

    def answer(self, dialog_id: str, turn: int, text: str) -> None:
        """Note what the assistant answered, all of it or as far as it came."""
        with self._lock:
            for exchange in self._dialogs.get(dialog_id, []):
                if exchange.turn == turn:
                    exchange.answer = text.strip()

    def correct(self, dialog_id: str, turn: int, heard: str | None) -> bool:
        """Cut an answer down to what the user heard of it, also one that is still being made.

        Args:
            heard: None: all of it, after all.

        Returns:
            Whether there is a turn of that number.
        """
        with self._lock:
            for exchange in self._dialogs.get(dialog_id, []):
                if exchange.turn == turn:
                    exchange.heard = heard
                    return True
        return False

    def _with(self, dialog_id: str, turn: int, user: str) -> list[Exchange]:
        exchanges = [e for e in self._dialogs.get(dialog_id, []) if e.turn < turn]
        self._trim(exchanges, estimate_tokens(user))
        return [*exchanges, Exchange(turn, user)]

    def _trim(self, exchanges: list[Exchange], coming: int) -> None:
        while exchanges and (len(exchanges) > self._turns
                             or _size(exchanges) + coming > self._tokens):
            keep = min(len(exchanges) // 2, self._turns)
            del exchanges[:len(exchanges) - keep]


def _up_to(text: str, heard: str) -> str:
    """Cut a text after what was heard: its beginning, or its middle when tts was restarted."""
    heard, whole = ' '.join(heard.split()), ' '.join(text.split())
    at = whole.find(heard)
    return whole[:at + len(heard)] if at > 0 and heard else heard


def _size(exchanges: list[Exchange]) -> int:
    return sum(estimate_tokens(e.user) + estimate_tokens(e.assistant) for e in exchanges)


def _messages(exchanges: list[Exchange]) -> tuple[ChatMessage, ...]:
    pairs = ((ChatMessage('user', e.user), ChatMessage('assistant', e.assistant))
             for e in exchanges)
    return tuple(message for pair in pairs for message in pair if message.content)
