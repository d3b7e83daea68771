# SPDX-License-Identifier: Apache-2.0
"""The loader's services: start, stop, get_pids, wake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import time
from typing import Any, TYPE_CHECKING

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import new_dialog_id
from va_interfaces.srv import GetPids, StartAssistant, StopAssistant, TriggerWake
from va_loader.control import Request
from va_loader.dialog_events import Event, WakeHeard

if TYPE_CHECKING:
    from va_loader.node import LoaderNode


class AdminApi:
    """Answers the admin services.

    Args:
        node: the loader's node.
        request: hands a request to the control loop; raises AssistantError.
        pids: process ids by name, 0 for what does not run.
        post: takes events for the dialog manager.
    """

    def __init__(self, node: LoaderNode, request: Callable[[Request], None],
                 pids: Callable[[], Mapping[str, int]], post: Callable[[Event], None]) -> None:
        self._node = node
        self._request = request
        self._pids = pids
        self._post = post
        node.create_service(StartAssistant, 'loader/start', self._on_start)
        node.create_service(StopAssistant, 'loader/stop', self._on_stop)
        node.create_service(GetPids, 'loader/get_pids', self._on_get_pids)
        node.create_service(TriggerWake, 'loader/wake', self._on_wake)

    def _on_start(self, request: Any, response: Any) -> Any:
        return self._answer(response, lambda: self._request(Request.START))

    def _on_stop(self, request: Any, response: Any) -> Any:
        wanted = Request.SHUTDOWN if request.shutdown else Request.STOP
        return self._answer(response, lambda: self._request(wanted))

    def _on_get_pids(self, request: Any, response: Any) -> Any:
        pids = self._pids()
        response.names = list(pids)
        response.pids = list(pids.values())
        return response

    def _on_wake(self, request: Any, response: Any) -> Any:
        def wake() -> None:
            response.dialog_id = self._wake()
        return self._answer(response, wake)

    def _wake(self) -> str:
        snapshot = self._node.board.snapshot
        if snapshot.phase != 'running' or snapshot.name == 'recovering':
            raise AssistantError(
                ErrorCode.UNAVAILABLE,
                f'the assistant is {snapshot.name} ({snapshot.phase}), expected it running')
        now_s = time.time()
        dialog_id = snapshot.dialog_id or new_dialog_id(now_s, self._node.salt())
        event = WakeHeard(
            stamp_s=now_s, word_end_s=now_s, phrase='', source='push_to_talk',
            acknowledgement=self._node.draw_acknowledgement(), dialog_id=dialog_id)
        self._post(event)
        self._node.publish_wake(event)
        return dialog_id

    def _answer(self, response: Any, work: Callable[[], None]) -> Any:
        try:
            work()
        except Exception as raised:
            error = error_of(raised)
            if error.code is ErrorCode.INTERNAL:
                self._node.log.error(f'admin: {error.message}', exc_info=True)
            response.error_code, response.error_msg = int(error.code), error.message
        return response
