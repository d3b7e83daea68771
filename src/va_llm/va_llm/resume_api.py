# SPDX-License-Identifier: Apache-2.0
"""The service ``llm/resume``: a dialog that was lost with its process, and its open question."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import TurnKey
from va_llm.engine import ChatMessage
from va_llm.history import History
from va_llm.turn_runner import MAX_TEXT

MAX_MESSAGES: Final = 64
_ROLES: Final = ('user', 'assistant')


class ResumeApi:
    """Takes requests of the service; asking for the same answer twice gives it once.

    Args:
        require_active: raises AssistantError NOT_ACTIVE.
        doubt: why the engine may not answer; None when it does.
        listeners: names of the nodes that get what is published on llm/chunk.
        history: takes what was said before.
        answer: begins to answer. Raises AssistantError.
        log: the node's.
    """

    def __init__(self, require_active: Callable[[], None], doubt: Callable[[], str | None],
                 listeners: Callable[[], Collection[str]], history: History,
                 answer: Callable[[TurnKey, str], None], log: Any) -> None:
        self._require_active = require_active
        self._doubt = doubt
        self._listeners = listeners
        self._history = history
        self._answer = answer
        self._log = log
        self._last = TurnKey('')

    def __call__(self, request: Any, response: Any) -> Any:
        """Answer a request; never raises."""
        try:
            self._resume(request)
        except Exception as raised:
            error = error_of(raised)
            response.error_code, response.error_msg = int(error.code), error.message
        return response

    def _resume(self, request: Any) -> None:
        self._require_active()
        key = TurnKey(request.dialog_id, request.turn, request.revision)
        said = _checked(request.history)
        if request.text and key == self._last:
            return
        if request.text:
            self._check_ready(request.listeners)
        if self._history.restore(key.dialog_id, key.turn, said):
            self._log.info('history restored', dialog=key.dialog_id, messages=len(said))
        if request.text:
            self._answer(key, request.text)
            self._last = key
            self._log.info('asked again', dialog=key.dialog_id, turn=key.turn)

    def _check_ready(self, wanted: Collection[str]) -> None:
        doubt = self._doubt()
        if doubt is not None:
            raise AssistantError(ErrorCode.UNAVAILABLE, f'not yet: {doubt}')
        missing = set(wanted) - set(self._listeners()) if wanted else set()
        if missing:
            names = ' and '.join(sorted(missing))
            raise AssistantError(ErrorCode.UNAVAILABLE, f'not yet: llm/chunk waits for {names}')


def _checked(messages: Collection[Any]) -> list[ChatMessage]:
    if len(messages) > MAX_MESSAGES:
        raise _refused('history', f'{len(messages)} messages', f'at most {MAX_MESSAGES}')
    for message in messages:
        if message.role not in _ROLES:
            raise _refused('history role', repr(message.role[:20]), ' or '.join(_ROLES))
        if len(message.content) > MAX_TEXT:
            raise _refused('history message', f'{len(message.content)} letters',
                           f'at most {MAX_TEXT}')
    return [ChatMessage(message.role, message.content) for message in messages]


def _refused(name: str, value: object, expected: str) -> AssistantError:
    return AssistantError(ErrorCode.INVALID_ARGUMENT, f'{name} {value}: expected {expected}')
