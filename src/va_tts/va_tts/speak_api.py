# SPDX-License-Identifier: Apache-2.0
"""The action /tts/speak: text in, playback events as feedback, what was heard as the result."""

from __future__ import annotations

from collections.abc import Callable, Generator
import itertools
import threading
import time
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from va_common.errors import AssistantError, error_of, ErrorCode
from va_interfaces.action import Speak
from va_tts.playback_events import Identity, PlaybackEvent, Source
from va_tts.playback_messages import check_id, to_event_msg
from va_tts.stream_queue import StreamQueue
from va_tts.utterance import Outcome, Request, Utterance

RESULT_TIMEOUT_S = 60
"""How long a result can be fetched."""
_STATE_S = 0.5


class SpeakApi:
    """Serves the action. A goal waits without a thread: a hundred may be queued.

    Args:
        queue: gives the queue. Raises AssistantError NOT_ACTIVE.
        request: makes the request of a goal. Raises AssistantError INVALID_ARGUMENT.
    """

    def __init__(self, node: Node, queue: Callable[[], StreamQueue],
                 request: Callable[[Identity, str, float], Request]) -> None:
        self._queue = queue
        self._request = request
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._goals: dict[str, tuple[Any, Utterance]] = {}
        self._server = ActionServer(
            node, Speak, 'tts/speak', execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,
            handle_accepted_callback=self._accepted, cancel_callback=self._cancel,
            callback_group=ReentrantCallbackGroup(), result_timeout=RESULT_TIMEOUT_S)

    def feedback(self, event: PlaybackEvent) -> None:
        """Pass an event on to the goal that it is about."""
        with self._lock:
            entry = self._goals.get(event.identity.utterance_id)
        if entry is not None:
            feedback = Speak.Feedback(event=to_event_msg(event))
            entry[0].publish_feedback(feedback)

    def destroy(self) -> None:
        """End the server."""
        self._server.destroy()

    def _accepted(self, handle: Any) -> None:
        """Queue the goal. It is executed, which only hands out the result, when it is over."""
        try:
            identity, utterance = self._speak(handle)
        except Exception as error:
            refused = error_of(error)
            handle.va_outcome = Outcome(refused.code, refused.message, '', 0.0)
            handle.execute()
            return
        utterance.done.add_done_callback(
            lambda done: self._over(handle, identity.utterance_id, done.result()))

    def _speak(self, handle: Any) -> tuple[Identity, Utterance]:
        goal = handle.request
        check_id(goal.dialog_id)
        queue = self._queue()
        identity = Identity(
            Source.SPEAK, f'speak-{next(self._numbers)}', goal.dialog_id, goal.turn)
        request = self._request(identity, goal.voice, goal.speed)
        with self._lock:
            # Held, so that no event of the utterance is told before its goal is known.
            utterance = queue.speak(request, goal.text, goal.interrupt)
            self._goals[identity.utterance_id] = (handle, utterance)
            handle.va_utterance = utterance
            cancelled = getattr(handle, 'va_cancelled', False)
        if cancelled:
            queue.cancel(utterance, 'goal cancelled')
        return identity, utterance

    def _over(self, handle: Any, utterance_id: str, outcome: Outcome) -> None:
        with self._lock:
            self._goals.pop(utterance_id, None)
        handle.va_outcome = outcome
        handle.execute()

    def _cancel(self, handle: Any) -> CancelResponse:
        with self._lock:
            handle.va_cancelled = True
            utterance = getattr(handle, 'va_utterance', None)
        if utterance is None:  # in a thread that is about to queue it, see _speak
            return CancelResponse.ACCEPT
        try:
            self._queue().cancel(utterance, 'goal cancelled')
        except AssistantError:
            return CancelResponse.REJECT
        return CancelResponse.ACCEPT

    async def _execute(self, handle: Any) -> Speak.Result:
        outcome: Outcome = handle.va_outcome
        if outcome.code == ErrorCode.OK:
            handle.succeed()
        elif outcome.code == ErrorCode.CANCELLED and getattr(handle, 'va_cancelled', False):
            await self._cancelled(handle)
        else:
            handle.abort()
        return Speak.Result(
            error_code=int(outcome.code), error_msg=outcome.message, heard=outcome.heard,
            duration_s=float(outcome.duration_s))

    async def _cancelled(self, handle: Any) -> None:
        """The goal may be over before rclpy has noted, elsewhere, that it is cancelling."""
        deadline = time.monotonic() + _STATE_S
        while not handle.is_cancel_requested and time.monotonic() < deadline:
            await _NextRound()
        if handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()


class _NextRound:
    """Awaited: go on in the executor's next round."""

    def __await__(self) -> Generator[None, None, None]:
        yield
