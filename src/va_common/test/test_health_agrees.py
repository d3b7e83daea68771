# SPDX-License-Identifier: Apache-2.0
"""gRPC Check and Watch, lifecycle state and /diagnostics: they never disagree for long."""

import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lifecycle_msgs.srv import GetState
import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common.health import check, HealthState
from va_common.lifecycle import AssistantNode
from va_common.ports import PORTS
from va_common.testing import ros_context, spin, wait_for

OFFSET = 6300
AGREE_S = 1.0
SLOW_MACHINE_S = 1.5
"""Granted on top: other tests may hold the cores of the sampler itself."""
SERVING = health_pb2.HealthCheckResponse.SERVING


class FakeNode(AssistantNode):
    """A node that a test breaks."""

    def __init__(self, **kwargs):
        self.trouble = None
        self.block = None
        super().__init__('kwd', section='kwd', **kwargs)
        self.create_timer(0.05, self._hang)

    def health_problem(self):
        return self.trouble

    def _hang(self):
        if self.block is not None:
            self.block.wait(60.0)


class Sampler:
    """Asks all four, again and again, and notes for how long they disagree."""

    def __init__(self, context):
        self.robot = Node('robot', context=context)
        self.diagnosed = None
        self.watched = None
        self.worst_s = 0.0
        self.said = []
        self._ending = threading.Event()
        group = ReentrantCallbackGroup()
        self.robot.create_subscription(
            DiagnosticArray, '/diagnostics', self._diagnose, 10, callback_group=group)
        self._states = self.robot.create_client(
            GetState, '/kwd/get_state', callback_group=group)
        self._threads = [threading.Thread(target=work) for work in (self._watch, self._sample)]

    def start(self):
        assert self._states.wait_for_service(20.0)
        for thread in self._threads:
            thread.start()
        wait_for(lambda: None not in (self.diagnosed, self.watched), 20.0, 'all four are heard')

    def stop(self):
        self._ending.set()
        self._call.cancel()
        for thread in self._threads:
            thread.join(10.0)
        self.robot.destroy_node()

    def _diagnose(self, message):
        for status in message.status:
            if status.hardware_id == 'kwd':
                self.diagnosed = status.level == DiagnosticStatus.OK

    def _watch(self):
        with grpc.insecure_channel(f'127.0.0.1:{PORTS["kwd"] + OFFSET}') as channel:
            self._call = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest())
            try:
                for answer in self._call:
                    self.watched = answer.status == SERVING
            except grpc.RpcError:
                assert self._ending.is_set()

    def _sample(self):
        agreed_s = time.monotonic()
        while not self._ending.wait(0.02):
            checked = check(PORTS['kwd'] + OFFSET, 5.0) is HealthState.SERVING
            state = self._state()
            self.said.append((checked, self.watched, self.diagnosed, state))
            now_s = time.monotonic()
            # An active node may be unable to serve; whatever serves is active.
            agree = checked == self.watched == self.diagnosed and (
                not checked or state in ('active', 'activating', ''))
            agreed_s = now_s if agree else agreed_s
            self.worst_s = max(self.worst_s, now_s - agreed_s)

    def _state(self):
        done = threading.Event()
        future = self._states.call_async(GetState.Request())
        future.add_done_callback(lambda _: done.set())
        if not done.wait(1.0):
            return ''
        return future.result().current_state.label


@pytest.fixture
def node():
    with ros_context() as context:
        node = FakeNode(context=context, parameter_overrides=[
            Parameter('system.port_offset', value=OFFSET)])
        node.sampler = Sampler(context)
        with spin(node, node.sampler.robot):
            node.sampler.start()
            try:
                yield node
            finally:
                node.sampler.stop()
        node.close()


def until(node, serving):
    sampler = node.sampler
    wait_for(lambda: sampler.watched is serving and sampler.diagnosed is serving, 20.0,
             f'everybody says serving={serving}')


def test_they_agree_through_a_life(node):
    node.trigger_configure()
    for _ in range(2):
        node.trigger_activate()
        until(node, True)
        node.trouble = 'no sound'
        until(node, False)
        node.trouble = None
        until(node, True)
        node.fail('broken')
        until(node, False)
        node.trigger_deactivate()
        until(node, False)
    node.trigger_cleanup()
    assert node.sampler.worst_s < AGREE_S + SLOW_MACHINE_S
    assert {state for *_, state in node.sampler.said} >= {'unconfigured', 'active'}


def test_a_callback_that_never_returns_is_told_within_seconds(node):
    node.trigger_configure()
    node.trigger_activate()
    until(node, True)
    node.block = threading.Event()
    began_s = time.monotonic()
    wait_for(lambda: node.sampler.watched is False, 20.0, 'the watcher is told')
    assert time.monotonic() - began_s < 3.0 + 2 * SLOW_MACHINE_S
    until(node, False)
    node.block.set()
    node.block = None
    until(node, True)
    assert node.sampler.worst_s < AGREE_S + SLOW_MACHINE_S
