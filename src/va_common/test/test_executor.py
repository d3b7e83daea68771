# SPDX-License-Identifier: Apache-2.0
import threading

import pytest
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from std_msgs.msg import Int32

from va_common import qos
from va_common.executor import NodeExecutor
from va_common.spinning import Spinner
from va_common.testing import ros_context, wait_for

MESSAGES = 40


class CountingExecutor(NodeExecutor):
    """Counts how often it looked for something to do."""

    turns = 0

    def _spin_once_impl(self, *arguments):
        self.turns += 1
        super()._spin_once_impl(*arguments)


@pytest.fixture
def bench():
    """A node that spins; ``failures`` has what came out of its callbacks."""
    with ros_context() as context:
        node = Node('listener', context=context)
        node.failures = []
        executor = CountingExecutor(2, context=context)
        executor.add_node(node)
        spinner = Spinner(executor, node.failures.append)
        yield node, executor
        spinner.stop(5.0)
        node.destroy_node()


def send(node, callback, count=MESSAGES, **group):
    """Publish to a subscription with ``callback``, one message after the other was heard."""
    heard = []

    def hear(message):
        callback(message)
        heard.append(message.data)

    node.create_subscription(Int32, 'numbers', hear, qos.AUDIO, **group)
    publisher = node.create_publisher(Int32, 'numbers', qos.AUDIO)
    wait_for(publisher.get_subscription_count, 10, 'the subscription')
    for number in range(count):
        publisher.publish(Int32(data=number))
        wait_for(lambda wanted=number: len(heard) > wanted or node.failures, 10, 'a message')
    return heard


def test_a_callback_runs_in_the_pool_and_once(bench):
    node, _ = bench
    threads = []
    heard = send(node, lambda _: threads.append(threading.current_thread().name))
    assert heard == list(range(MESSAGES))
    assert len(threads) == MESSAGES
    assert 'executor' not in threads


def test_one_that_blocks_holds_up_nobody_else(bench):
    node, _ = bench
    release, ticked = threading.Event(), threading.Event()
    node.create_timer(
        0.01, lambda: release.wait(20), callback_group=MutuallyExclusiveCallbackGroup())
    node.create_timer(0.01, ticked.set, callback_group=ReentrantCallbackGroup())
    try:
        assert ticked.wait(10)
        ticked.clear()
        assert ticked.wait(10)
    finally:
        release.set()


def test_one_group_is_never_in_two_callbacks(bench):
    node, _ = bench
    inside, both, ticks = threading.Lock(), [], []

    def enter():
        if not inside.acquire(blocking=False):
            both.append(True)
            return
        ticks.append(True)
        inside.release()

    node.create_timer(0.001, enter)
    node.create_timer(0.001, enter)
    wait_for(lambda: len(ticks) > 100, 10, 'the timers')
    assert not both


def test_what_a_callback_raises_comes_out(bench):
    node, _ = bench
    node.create_timer(0.01, lambda: 1 / 0)
    wait_for(lambda: node.failures, 10, 'the failure')
    assert isinstance(node.failures[0], ZeroDivisionError)


def test_a_coroutine_that_waits_is_gone_on_with(bench):
    node, executor = bench
    answer = executor.create_future()

    async def ask():
        return await answer + 1

    task = executor.create_task(ask)
    before = executor.turns
    wait_for(lambda: executor.turns > before + 1, 10, 'it waits')
    assert not task.done()
    answer.set_result(41)
    wait_for(task.done, 10, 'the task')
    assert task.result() == 42
