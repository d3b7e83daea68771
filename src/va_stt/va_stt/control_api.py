# SPDX-License-Identifier: Apache-2.0
"""What programs ask of stt: services ``stt/start``, ``stt/stop``, action ``stt/listen``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
import queue
import time
from typing import Any

from rclpy.action.server import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ros_time import to_seconds
from va_interfaces.action import Listen
from va_interfaces.srv import StartListening, StopListening
from va_stt.listening import Listening
from va_stt.requests import apart_request, dialog_request
from va_stt.results_api import to_transcript
from va_stt.turn_events import Kind, Outcome, TurnEvent

POLL_S = 0.1
EXTRA_S = 40.0
"""What a Listen goal may take beyond waiting for speech and the longest utterance."""


class ControlApi:
    """The servers. They live as long as the node and answer NOT_ACTIVE while it is inactive.

    Args:
        node: an :class:`~va_common.lifecycle.AssistantNode`.
        listening: gives the present :class:`Listening`; raises AssistantError NOT_ACTIVE.
        publish: publishes the events of a dialog's turn.
        clock: Unix seconds.
    """

    def __init__(self, node: Any, listening: Callable[[], Listening],
                 publish: Callable[[TurnEvent], None],
                 clock: Callable[[], float] = time.time) -> None:
        self._node = node
        self._listening = listening
        self._publish = publish
        self._clock = clock
        self._goals = count(1)
        group = ReentrantCallbackGroup()
        node.create_service(StartListening, 'stt/start', self._start, callback_group=group)
        node.create_service(StopListening, 'stt/stop', self._stop, callback_group=group)
        self._actions = ActionServer(
            node, Listen, 'stt/listen', execute_callback=self._listen,
            cancel_callback=lambda _: CancelResponse.ACCEPT, callback_group=group)

    def close(self) -> None:
        """Take the action server down."""
        self._actions.destroy()

    def _start(self, request: StartListening.Request,
               response: StartListening.Response) -> StartListening.Response:
        return self._answer(response, self._start_turn, request)

    def _start_turn(self, request: StartListening.Request) -> None:
        turn = dialog_request(
            self._node.setting, dialog_id=request.dialog_id, turn=request.turn,
            listen_from_s=to_seconds(request.listen_from), wake_phrase=request.wake_phrase,
            no_speech_timeout_ms=request.no_speech_timeout_ms, now_s=self._clock(),
            over_playback=request.over_playback, stop_phrases=request.stop_phrases)
        self._listening().start(turn, self._publish)
        self._node.log.info('listening', dialog=request.dialog_id, turn=request.turn)

    def _stop(self, request: StopListening.Request,
              response: StopListening.Response) -> StopListening.Response:
        return self._answer(response, self._stop_turn, request)

    def _stop_turn(self, request: StopListening.Request) -> None:
        self._listening().stop(request.dialog_id, request.turn, request.reason)

    def _answer(self, response: Any, work: Callable[[Any], None], request: Any) -> Any:
        try:
            work(request)
        except Exception as raised:
            error = error_of(raised)
            self._node.log.warning(f'refused: {error.message}')
            response.error_code, response.error_msg = int(error.code), error.message
        return response

    # stt/listen -------------------------------------------------------------------------------

    def _listen(self, goal: Any) -> Listen.Result:
        events: queue.Queue[TurnEvent] = queue.Queue()
        try:
            request = apart_request(
                self._node.setting, listen_id=f'listen-{next(self._goals)}',
                no_speech_timeout_ms=goal.request.no_speech_timeout_ms,
                silence_ms=goal.request.silence_ms, now_s=self._clock())
            listening = self._listening()
            listening.start_apart(request, events.put)
            limit_s = request.no_speech_timeout_s + request.max_utterance_s + EXTRA_S
            final = self._follow(goal, listening, events, limit_s)
        except Exception as raised:
            error = error_of(raised)
            goal.abort()
            return Listen.Result(error_code=int(error.code), error_msg=error.message)
        return self._conclude(goal, final)

    def _follow(self, goal: Any, listening: Listening, events: queue.Queue[TurnEvent],
                limit_s: float) -> TurnEvent:
        """Pass events on as feedback until FINAL; a cancelled goal stops the turn."""
        deadline = time.monotonic() + limit_s
        listen_id, stopped = '', False
        while time.monotonic() < deadline:
            if goal.is_cancel_requested and not stopped:
                stopped = True
                current = listening.current
                listen_id = current.dialog_id if current is not None else ''
                if listen_id.startswith('listen-'):
                    listening.stop(listen_id, 1, 'cancelled')
            try:
                event = events.get(timeout=POLL_S)
            except queue.Empty:
                continue
            goal.publish_feedback(
                Listen.Feedback(transcript=to_transcript(event, self._clock())))
            if event.kind is Kind.FINAL:
                return event
        raise AssistantError(ErrorCode.TIMEOUT, f'stt/listen: no result within {limit_s:g} s')

    def _conclude(self, goal: Any, final: TurnEvent) -> Listen.Result:
        result = Listen.Result(text=final.text, confidence=float(final.confidence),
                               error_code=final.error_code, error_msg=final.error_msg)
        if final.outcome is Outcome.STOPPED:
            result.error_code = int(ErrorCode.CANCELLED)
            result.error_msg = f'stt/listen: stopped ({final.endpoint_reason})'
        elif final.outcome is Outcome.NO_SPEECH:
            result.error_code = int(ErrorCode.TIMEOUT)
            result.error_msg = 'stt/listen: nobody spoke'
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.error_code:
            goal.abort()
        else:
            goal.succeed()
        return result
