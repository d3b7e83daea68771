# SPDX-License-Identifier: Apache-2.0
"""The action ``llm/complete`` as a rclpy action server."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
import threading
import time
from typing import Any, Final

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import CallbackGroup

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import TurnKey
from va_common.ros_time import to_msg
from va_interfaces.action import Complete
from va_interfaces.msg import ReplyChunk
from va_llm.completion_api import to_request
from va_llm.engine import CancelToken, ChatMessage, Completion
from va_llm.reply_writer import cancelled, ReplyPiece, ReplyWriter
from va_llm.turn_runner import TurnRunner

# Each goal holds a thread of the executor while it waits.
_MAX_GOALS: Final = 2
_LOOK_S: Final = 0.5


class CompletionAction:
    """Serves ``llm/complete``; a goal of a dialog turn goes before and ends a completion.

    Args:
        node: an AssistantNode.
        runner: generates.
        group: callbacks; reentrant, or no cancel would be heard while a goal runs.
    """

    def __init__(self, node: Any, runner: TurnRunner, group: CallbackGroup) -> None:
        self._node = node
        self._runner = runner
        self._places = threading.BoundedSemaphore(_MAX_GOALS)
        self._tokens: dict[bytes, CancelToken] = {}
        self._server: Any = ActionServer(
            node, Complete, 'llm/complete', self._execute, callback_group=group,
            cancel_callback=self._on_cancel)

    def destroy(self) -> None:
        """Take the action down."""
        self._server.destroy()

    def _on_cancel(self, goal: Any) -> CancelResponse:
        token = self._tokens.get(bytes(goal.goal_id.uuid))
        if token is not None:
            token.cancel('the client cancelled')
        return CancelResponse.ACCEPT

    def _execute(self, goal: Any) -> Complete.Result:
        token = CancelToken()
        self._tokens[bytes(goal.goal_id.uuid)] = token
        writer = ReplyWriter(TurnKey(''), lambda piece: _feed_back(goal, piece), time.monotonic)
        try:
            completion = self._generate(goal, writer, token)
        except CancelledError:
            return _ended(goal, writer, Completion('cancelled'), cancelled('the node goes down'))
        except Exception as raised:
            error = error_of(raised)
            self._node.log.warning(f'completion failed: {error.message}', code=error.code.name)
            return _ended(goal, writer, Completion(''), error)
        finally:
            del self._tokens[bytes(goal.goal_id.uuid)]
        stopped = completion.finish_reason == 'cancelled'
        return _ended(goal, writer, completion, cancelled(token.reason) if stopped else None)

    def _generate(self, goal: Any, writer: ReplyWriter, token: CancelToken) -> Completion:
        self._node.require_active()
        request = to_request(
            [ChatMessage(m.role, m.content) for m in goal.request.messages],
            goal.request.max_tokens, goal.request.temperature, self._node.setting('max_tokens'),
            self._runner.prefix)
        if not self._places.acquire(blocking=False):
            message = f'{_MAX_GOALS} completions run already'
            raise AssistantError(ErrorCode.BUSY, message)
        try:
            future = self._runner.complete(request, writer.write, token)
            if goal.is_cancel_requested:
                token.cancel('the client cancelled')
            return self._wait(future, token)
        finally:
            self._places.release()

    def _wait(self, future: Future[Completion], token: CancelToken) -> Completion:
        while True:
            try:
                return future.result(_LOOK_S)
            except FutureTimeoutError:
                stuck = self._runner.stuck()
            if stuck is not None:
                token.cancel(stuck)
                raise AssistantError(ErrorCode.TIMEOUT, stuck)


def _feed_back(goal: Any, piece: ReplyPiece) -> None:
    if piece.is_last and not piece.text:
        return
    chunk = ReplyChunk(sequence=piece.sequence, text=piece.text, is_last=piece.is_last)
    chunk.header.stamp = to_msg(time.time())
    goal.publish_feedback(Complete.Feedback(chunk=chunk))


def _ended(goal: Any, writer: ReplyWriter, completion: Completion,
           error: AssistantError | None) -> Complete.Result:
    writer.end()
    result = Complete.Result(
        text=writer.text, finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens, completion_tokens=completion.completion_tokens)
    if error is None:
        goal.succeed()
        return result
    result.error_code, result.error_msg = int(error.code), error.message
    if goal.is_cancel_requested:
        goal.canceled()
    else:
        goal.abort()
    return result
