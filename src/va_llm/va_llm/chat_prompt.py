# SPDX-License-Identifier: Apache-2.0
"""A conversation as the model wants to read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from va_llm.engine import ChatMessage
from va_llm.go_template import cut_after_response, execute, fields_of, Node, Output, parse_template


def merge_roles(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Join neighbours of the same role with an empty line, as Ollama does.

    Many chat templates refuse two user messages in a row, which an answer that was stopped before
    its first word would leave behind.
    """
    merged: list[ChatMessage] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            joined = f'{merged[-1].content}\n\n{message.content}'
            merged[-1] = ChatMessage(message.role, joined)
        else:
            merged.append(message)
    return merged


class PromptTemplate:
    """A TEMPLATE of a Modelfile that turns messages into the text the model continues.

    Follows ``Template.Execute`` of Ollama 0.25: a template that knows ``.Messages`` is filled in
    once; one with ``.System``, ``.Prompt``, ``.Response`` once per exchange.

    Raises:
        AssistantError: INVALID_ARGUMENT for a template beyond the supported part of the language.
    """

    def __init__(self, source: str, where: str = 'TEMPLATE') -> None:
        self._nodes = parse_template(source, where)
        names = fields_of(self._nodes)
        self._has_messages = 'messages' in names
        if not self._has_messages and 'response' not in names:
            self._nodes.append(_response_node())
        self._last_nodes, _ = cut_after_response(self._nodes)

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """The prompt for a conversation that the assistant continues."""
        merged = merge_roles(messages)
        if self._has_messages:
            return self._render_messages(merged)
        return self._render_exchanges(merged)

    def _render_messages(self, messages: list[ChatMessage]) -> str:
        system = '\n\n'.join(m.content for m in messages if m.role == 'system')
        items = [{'Role': m.role, 'Content': m.content} for m in messages]
        return execute(self._nodes, {'System': system, 'Messages': items, 'Response': ''})

    def _render_exchanges(self, messages: list[ChatMessage]) -> str:
        parts: list[str] = []
        scope = _empty_scope()
        for message in messages:
            full = scope['Prompt'] or scope['Response'] if message.role == 'system' else \
                scope['Response'] if message.role == 'user' else ''
            if full:
                parts.append(execute(self._nodes, scope))
                scope = _empty_scope()
            scope[_SLOTS[message.role]] = message.content
        parts.append(execute(self._last_nodes, scope))
        return ''.join(parts)


_SLOTS = {'system': 'System', 'user': 'Prompt', 'assistant': 'Response'}


def _empty_scope() -> dict[str, str]:
    return {'System': '', 'Prompt': '', 'Response': ''}


def _response_node() -> Node:
    return Output(lambda dot, root: dot.get('Response', ''), ('Response',))
