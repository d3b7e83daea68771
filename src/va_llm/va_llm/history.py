# SPDX-License-Identifier: Apache-2.0
"""What was said in the dialogs: bounded, and stable at its beginning so that prompt caches hit."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
import threading

from va_llm.engine import ChatMessage

KEPT_DIALOGS = 4
# Tokenizers of SmolLM2, Qwen and Llama make 4 to 4.5 letters of English a token; 3 is safe.
_LETTERS_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 6


@dataclass
class Exchange:
    """One turn: what the user said and what the assistant answered so far."""

    turn: int
    user: str
    assistant: str = ''


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
            exchanges = self._dialogs.setdefault(dialog_id, [])
            self._dialogs.move_to_end(dialog_id)
            while len(self._dialogs) > KEPT_DIALOGS:
                self._dialogs.popitem(last=False)
            exchanges[:] = [e for e in exchanges if e.turn < turn]
            self._trim(exchanges, estimate_tokens(user))
            exchanges.append(Exchange(turn, user))
            return _messages(exchanges)

    def answer(self, dialog_id: str, turn: int, text: str) -> None:
        """Note what the assistant answered, all of it or as far as it came."""
        with self._lock:
            for exchange in self._dialogs.get(dialog_id, []):
                if exchange.turn == turn:
                    exchange.assistant = text.strip()

    def correct(self, dialog_id: str, turn: int, heard: str) -> bool:
        """Cut an answer down to what the user heard of it.

        Returns:
            Whether there was an answer of that turn that is longer than ``heard``.
        """
        with self._lock:
            for exchange in self._dialogs.get(dialog_id, []):
                if exchange.turn == turn and len(heard.strip()) < len(exchange.assistant):
                    exchange.assistant = heard.strip()
                    return True
        return False

    def _trim(self, exchanges: list[Exchange], coming: int) -> None:
        while exchanges and (len(exchanges) > self._turns
                             or _size(exchanges) + coming > self._tokens):
            keep = min(len(exchanges) // 2, self._turns)
            del exchanges[:len(exchanges) - keep]


def _size(exchanges: list[Exchange]) -> int:
    return sum(estimate_tokens(e.user) + estimate_tokens(e.assistant) for e in exchanges)


def _messages(exchanges: list[Exchange]) -> tuple[ChatMessage, ...]:
    pairs = ((ChatMessage('user', e.user), ChatMessage('assistant', e.assistant))
             for e in exchanges)
    return tuple(message for pair in pairs for message in pair if message.content)
