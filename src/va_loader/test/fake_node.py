# SPDX-License-Identifier: Apache-2.0
"""Nodes without engines, for the tests of main and loader: run as processes in their places.

Files in ``$FAKE_DIR`` tell a node how to misbehave: ``llm.hang``, ``stt.refuse``, ``kwd.deaf``,
``stt.unplugged``, ``stt.muffled``, ``llm.wedged``, ``llm.holding``.
"""

import ctypes
import os
from pathlib import Path
import sys
import threading

from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup

from va_common.errors import AssistantError, ErrorCode
from va_common.lifecycle import AssistantNode, run_node
from va_interfaces.action import Speak
from va_interfaces.srv import Cancel, StartListening, StopListening


class FakeNode(AssistantNode):
    def __init__(self, name, **arguments):
        super().__init__(name, section=name, **arguments)
        self.create_timer(0.2, self._misbehave)
        group = ReentrantCallbackGroup()
        if name == 'tts':
            ActionServer(self, Speak, 'tts/speak', self._speak, callback_group=group)
        if name == 'stt':
            for kind, service in ((StartListening, 'stt/start'), (StopListening, 'stt/stop')):
                self.create_service(kind, service, self._agree, callback_group=group)
        if name in ('tts', 'llm'):
            self.create_service(Cancel, f'{name}/stop', self._agree, callback_group=group)

    def _is_told(self, what):
        return (Path(os.environ['FAKE_DIR']) / f'{self.get_name()}.{what}').exists()

    def do_configure(self):
        if self._is_told('hang'):
            threading.Event().wait(600.0)
        if self._is_told('refuse'):
            raise AssistantError(ErrorCode.MODEL_MISSING, 'model fake.onnx is missing')

    def health_problem(self):
        if self._is_told('unplugged'):
            return 'the microphone is gone; plug it in'
        return 'told to be deaf' if self._is_told('deaf') else None

    def waits_for_device(self):
        return self._is_told('unplugged')

    def warnings(self):
        return ['the microphone is muffled'] if self._is_told('muffled') else []

    def _misbehave(self):
        if self._is_told('wedged'):
            threading.Event().wait(600.0)
        if self._is_told('holding'):
            ctypes.PyDLL(None).sleep(600)

    def _speak(self, goal):
        goal.succeed()
        return Speak.Result(heard=goal.request.text)

    def _agree(self, request, response):
        return response


if __name__ == '__main__':
    sys.exit(run_node(lambda: FakeNode(sys.argv[1])))
