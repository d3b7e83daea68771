# SPDX-License-Identifier: Apache-2.0
import threading
import time

import pytest
from rclpy.exceptions import InvalidHandle
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from va_common.spinning import MAX_TORN, Spinner
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
    """Every third wait is torn by something that was destroyed; with ``broken`` every wait."""

    def __init__(self, broken=False):
        self.broken, self.turns = broken, 0

    def spin_once(self):
        self.turns += 1
        if self.broken or self.turns % 3 == 0:
            raise InvalidHandle('cannot use Destroyable because destruction was requested')

    def create_task(self, _):
        """Nothing waits."""

    def shutdown(self, _):
        """Nothing is held."""


@pytest.mark.parametrize('broken', [False, True])
def test_a_wait_torn_by_what_was_destroyed_is_repeated_a_few_times(broken):
    executor, failures = FakeExecutor(broken), []
    spinner = Spinner(executor, failures.append)
    wait_for(lambda: failures or executor.turns > 100, 5, 'it goes on, or ends')
    spinner.stop(5.0)
    assert [type(failure) for failure in failures] == [InvalidHandle] * broken
    assert not broken or executor.turns == MAX_TORN + 1
