#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A robot's own program that speaks, listens and asks, by three ROS 2 actions.

With the assistant running, in a second terminal:

    source .va/env.sh && python examples/robot_node.py
"""

from __future__ import annotations

import sys
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node

from va_interfaces.action import Complete, Listen, Speak
from va_interfaces.msg import ChatMessage, Wake

SERVER_TIMEOUT_S = 5.0
GOAL_TIMEOUT_S = 60.0


class Robot(Node):
    """Speaks through the assistant's voice, listens with its ears, asks its language model."""

    def __init__(self) -> None:
        super().__init__('robot')
        actions = {'tts/speak': Speak, 'stt/listen': Listen, 'llm/complete': Complete}
        self._actions = {name: ActionClient(self, kind, name) for name, kind in actions.items()}
        self.create_subscription(Wake, 'kwd/wake', self._on_wake, 10)

    def speak(self, text: str) -> str:
        """Say something and return what was heard of it."""
        return self._run('tts/speak', Speak.Goal(text=text)).heard

    def listen(self) -> str:
        """Hear one utterance; empty when nobody spoke."""
        try:
            return self._run('stt/listen', Listen.Goal()).text
        except RuntimeError as error:
            self.get_logger().info(str(error))
            return ''

    def ask(self, question: str) -> str:
        """Ask the language model; the answer arrives piece by piece as feedback."""
        goal = Complete.Goal(messages=[ChatMessage(role='user', content=question)])
        return self._run('llm/complete', goal, self._on_piece).text

    def _on_wake(self, wake: Wake) -> None:
        self.get_logger().info(f'somebody said {wake.phrase!r} ({wake.score:.2f})')

    def _on_piece(self, message: Any) -> None:
        print(message.feedback.chunk.text, end='', flush=True)

    def _run(self, name: str, goal: Any, on_feedback: Any = None) -> Any:
        client = self._actions[name]
        if not client.wait_for_server(SERVER_TIMEOUT_S):
            raise RuntimeError(f'{name} is not there: is the assistant running?')
        accepted = client.send_goal_async(goal, on_feedback)
        rclpy.spin_until_future_complete(self, accepted, timeout_sec=SERVER_TIMEOUT_S)
        if not accepted.done() or not accepted.result().accepted:
            raise RuntimeError(f'{name} refused the goal')
        finished = accepted.result().get_result_async()
        rclpy.spin_until_future_complete(self, finished, timeout_sec=GOAL_TIMEOUT_S)
        if not finished.done():
            raise RuntimeError(f'{name} gave no result within {GOAL_TIMEOUT_S:g} s')
        result = finished.result().result
        if result.error_code:
            raise RuntimeError(f'{name} failed with {result.error_code}: {result.error_msg}')
        return result


def main() -> int:
    """Say hello, ask a question, listen, and repeat what was heard."""
    rclpy.init()
    robot = Robot()
    try:
        robot.speak('Hello, I am your robot.')
        print('\nanswer:', robot.ask('What is the capital of France?'))
        robot.speak('Please say something.')
        heard = robot.listen()
        print('heard:', heard or '(nothing)')
        robot.speak(f'I heard: {heard}' if heard else 'I heard nothing.')
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        robot.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
