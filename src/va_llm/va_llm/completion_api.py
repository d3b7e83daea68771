# SPDX-License-Identifier: Apache-2.0
"""The goal of the action ``llm/complete``: what is refused and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Final

from va_common.errors import AssistantError, ErrorCode
from va_llm.engine import ChatMessage, ChatRequest, ROLES

MAX_MESSAGES: Final = 100
MAX_LETTERS: Final = 32_000
MAX_TOKENS: Final = 8192
_TEMPERATURES: Final = (0.0, 2.0)


def to_request(messages: Sequence[ChatMessage], max_tokens: int, temperature: float,
               default_tokens: int, prefix: Sequence[ChatMessage] = ()) -> ChatRequest:
    """Check a goal and make the request of it.

    Args:
        messages: the conversation; the last one is the user's.
        max_tokens: 0 for ``default_tokens``.
        temperature: 0 to 2; below 0: the Modelfile's.
        default_tokens: the node's longest answer.
        prefix: the Modelfile's SYSTEM and MESSAGE lines; they go before a conversation that has
            no system message of its own, as Ollama does it.

    Raises:
        AssistantError: INVALID_ARGUMENT, naming the field, its value and what was expected.
    """
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise _refused('messages', f'{len(messages)} of them', f'1 to {MAX_MESSAGES}')
    for index, message in enumerate(messages):
        _check_message(index, message)
    if messages[-1].role != 'user':
        raise _refused('messages', f'the last one has the role {messages[-1].role}', 'user')
    letters = sum(len(message.content) for message in messages)
    if letters > MAX_LETTERS:
        raise _refused('messages', f'{letters} letters', f'at most {MAX_LETTERS}')
    if not 0 <= max_tokens <= MAX_TOKENS:
        raise _refused('max_tokens', str(max_tokens), f"0 (the node's) to {MAX_TOKENS}")
    if math.isnan(temperature) or temperature > _TEMPERATURES[1]:
        raise _refused('temperature', f'{temperature:g}', "at most 2, or below 0 for the node's")
    begin = () if any(message.role == 'system' for message in messages) else tuple(prefix)
    return ChatRequest((*begin, *messages), max_tokens or default_tokens,
                       temperature if temperature >= 0 else None)


def _check_message(index: int, message: ChatMessage) -> None:
    where = f'messages[{index}]'
    if message.role not in ROLES:
        raise _refused(f'{where}.role', repr(message.role[:40]), 'one of ' + ', '.join(ROLES))
    if not message.content.strip():
        raise _refused(f'{where}.content', 'empty', 'a text')


def _refused(what: str, found: str, expected: str) -> AssistantError:
    return AssistantError(ErrorCode.INVALID_ARGUMENT, f'{what}: {found}; expected {expected}')
