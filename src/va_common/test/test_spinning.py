# SPDX-License-Identifier: Apache-2.0
import threading
import time

import pytest
from rclpy.exceptions import InvalidHandle
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from va_common import spinning
from va_common.spinning import RCLError, Spinner
from va_common.testing import ros_context, wait_for


def test_an_idle_executor_is_ended_at_once():
    with ros_context() as context:
        node = Node('idle', context=context)
        executor = MultiThreadedExecutor(2, context=context)
        executor.add_node(node)
        failures = []
        spinner = Spinner(executor, failures.append)
        ticked = threading.Event()
        node.create_timer(0.01, ticked.set)
        assert ticked.wait(5)
        started = time.monotonic()
        spinner.stop(5.0)
        assert time.monotonic() - started < 2.5, 'stop waited for its deadline'
        assert not failures
        node.destroy_node()


def test_an_exception_of_a_callback_is_told():
    with ros_context() as context:
        node = Node('broken', context=context)
        executor = MultiThreadedExecutor(2, context=context)
        executor.add_node(node)
        failures = []
        spinner = Spinner(executor, failures.append)
        node.create_timer(0.01, lambda: 1 / 0)
        wait_for(lambda: failures, 5, 'the failure')
        assert isinstance(failures[0], ZeroDivisionError)
        spinner.stop(5.0)
        node.destroy_node()


class FakeExecutor:
    """Every third wait raises ``error``; with ``broken`` every wait."""

    def __init__(self, error, broken=False):
        self.error, self.broken, self.turns = error, broken, 0

    def spin_once(self):
        self.turns += 1
        if self.broken or self.turns % 3 == 0:
            raise self.error

    def create_task(self, _):
        """Nothing waits."""

    def shutdown(self, _):
        """Nothing is held."""


TORN = (InvalidHandle('cannot use Destroyable because destruction was requested'),
        RCLError("Failed to add 'rcl_action_server_t' to wait set: it is invalid"))


@pytest.mark.parametrize('broken', [False, True])
@pytest.mark.parametrize('error', TORN)
def test_a_wait_torn_by_what_was_destroyed_is_repeated_for_a_while(error, broken, monkeypatch):
    monkeypatch.setattr(spinning, 'TORN_S', 0.3)
    executor, failures = FakeExecutor(error, broken), []
    spinner = Spinner(executor, failures.append)
    wait_for(lambda: failures or (not broken and executor.turns > 100), 5, 'it goes on, or ends')
    spinner.stop(5.0)
    assert failures == [error] * broken
    assert executor.turns > 10  # a wait in vain takes no time; what destroys may take some


def test_another_error_of_rcl_ends_it():
    failures = []
    spinner = Spinner(FakeExecutor(RCLError('failed to publish')), failures.append)
    wait_for(lambda: failures, 5, 'the failure')
    spinner.stop(5.0)
