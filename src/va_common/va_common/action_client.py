# SPDX-License-Identifier: Apache-2.0
"""rclpy's ActionClient without two races of rclpy 9.1.2."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from rclpy.action import ActionClient
from rclpy.task import Future


class SafeActionClient(ActionClient):  # type: ignore[misc]
    """An action client that may be made and used while its node spins in another thread.

    rclpy's own creates its lock after the executor can use it, which ends the executor, and
    replaces the future of a goal after sending it, so that a quick server's answer is never seen.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._lock = threading.Lock()
        super().__init__(*arguments, **named)

    def send_goal_async(self, goal: Any, feedback_callback: Callable[[Any], None] | None = None,
                        goal_uuid: Any = None) -> Future:
        """Send a goal; the future gives its ClientGoalHandle when the server has answered.

        Raises:
            TypeError: ``goal`` is not of the action's Goal type.
        """
        if not isinstance(goal, self._action_type.Goal):
            expected = self._action_type.Goal.__name__
            raise TypeError(f'goal {type(goal).__name__}: expected {expected}')
        request = self._action_type.Impl.SendGoalService.Request(
            goal_id=goal_uuid or self._generate_random_uuid(), goal=goal)
        if feedback_callback is not None:
            # Before the goal is sent: feedback may come before its acceptance.
            self._feedback_callbacks[bytes(request.goal_id.uuid)] = feedback_callback
        future: Future = Future()
        future.add_done_callback(self._remove_pending_goal_request)
        with self._lock:
            # The answer is taken under this lock: it finds the future.
            sequence_number = self._client_handle.send_goal_request(request)
            self._pending_goal_requests[sequence_number] = future
            self._goal_sequence_number_to_goal_id[sequence_number] = request.goal_id
            self.add_future(future)
        return future
