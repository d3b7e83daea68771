# SPDX-License-Identifier: Apache-2.0
"""A robot's program in a test: calls services and actions of the assistant with deadlines."""
from __future__ import annotations

from collections.abc import Callable
import threading
import traceback
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import local_only
from va_common.action_client import SafeActionClient
from va_common.spinning import Spinner

MAX_FAILURES = 10


class Robot:
    """Context manager with a node of its own."""

    def __init__(self, name: str = 'test_robot') -> None:
        self._name = name
        self._context = Context()
        self._clients: dict[str, Any] = {}
        self._failures = 0

    def __enter__(self) -> Robot:
        local_only.apply()
        rclpy.init(context=self._context)
        self.node = Node(self._name, context=self._context)
        self._executor = MultiThreadedExecutor(2, context=self._context)
        self._executor.add_node(self.node)
        self._spinner = Spinner(self._executor, self._on_failure)
        return self

    def __exit__(self, *_: object) -> None:
        self._failures = MAX_FAILURES
        self._spinner.stop(2.0)
        self._context.try_shutdown()

    def call(self, kind: Any, name: str, request: Any = None, timeout_s: float = 10.0) -> Any:
        """Call a service."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_s), f'no service {name}'
        return _result(client.call_async(request or kind.Request()), timeout_s, name)

    def act(self, kind: Any, name: str, goal: Any, timeout_s: float = 60.0,
            feedback: Callable[[Any], None] = lambda _: None) -> Any:
        """Send a goal and wait for its result."""
        return self.result(self.send(kind, name, goal, feedback), timeout_s)

    def send(self, kind: Any, name: str, goal: Any,
             feedback: Callable[[Any], None] = lambda _: None) -> Any:
        """Send a goal; returns its handle when it has been accepted."""
        if name not in self._clients:
            self._clients[name] = SafeActionClient(self.node, kind, name)
        client = self._clients[name]
        assert client.wait_for_server(10.0), f'no action {name}'
        handle = _result(client.send_goal_async(goal, lambda m: feedback(m.feedback)), 10.0, name)
        assert handle.accepted, f'{name} refused the goal'
        return handle

    def result(self, handle: Any, timeout_s: float = 60.0) -> Any:
        """Wait for the result of a goal; feedback that comes later is not given any more."""
        return _result(handle.get_result_async(), timeout_s, 'result').result

    def cancel(self, handle: Any, timeout_s: float = 10.0) -> Any:
        """Cancel a goal and wait for its result."""
        _result(handle.cancel_goal_async(), timeout_s, 'cancel')
        return self.result(handle, timeout_s)

    def set_parameter(self, node: str, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter of another node; returns (accepted, reason)."""
        from rcl_interfaces.srv import SetParameters

        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        result = self.call(SetParameters, f'{node}/set_parameters', request).results[0]
        return result.successful, result.reason

    def _on_failure(self, error: BaseException) -> None:
        """rclpy may raise while a server dies that is being talked to; the robot goes on."""
        traceback.print_exception(error)
        self._failures += 1
        if self._failures < MAX_FAILURES:
            self._spinner = Spinner(self._executor, self._on_failure)


def _result(future: Any, timeout_s: float, what: str) -> Any:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s), f'{what} did not answer within {timeout_s:.0f} s'
    return future.result()
