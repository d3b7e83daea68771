# SPDX-License-Identifier: Apache-2.0
"""Goals answered at once, from a client made while its node spins."""

from typing import Any

import pytest
from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from va_common.action_client import SafeActionClient
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.action import Speak


def test_every_goal_is_answered() -> None:
    def execute(handle: Any) -> Speak.Result:
        handle.publish_feedback(Speak.Feedback())
        handle.succeed()
        return Speak.Result(heard=handle.request.text)

    with ros_context() as context:
        node = Node('robot', context=context)
        ActionServer(node, Speak, 'say', execute, callback_group=ReentrantCallbackGroup())
        with spin(node):
            client = SafeActionClient(
                node, Speak, 'say', callback_group=ReentrantCallbackGroup())
            assert client.wait_for_server(10.0)
            for number in range(100):
                answer = client.send_goal_async(Speak.Goal(text=str(number)))
                wait_for(answer.done, 5.0, 'the goal is answered')
                result = answer.result().get_result_async()
                wait_for(result.done, 5.0, 'the result is there')
                assert result.result().result.heard == str(number)
            assert not client._pending_goal_requests
        node.destroy_node()


def test_wrong_goal() -> None:
    with ros_context() as context:
        node = Node('robot', context=context)
        with pytest.raises(TypeError, match='expected Speak_Goal'):
            SafeActionClient(node, Speak, 'say').send_goal_async('hello')
        node.destroy_node()
