# SPDX-License-Identifier: Apache-2.0
import threading

import pytest
from rclpy.node import Node
from std_msgs.msg import Int32

from va_common import qos
from va_common.errors import AssistantError, ErrorCode
from va_common.executor import NodeExecutor
from va_common.spinning import Spinner
from va_common.stream_subscription import StreamSubscription
from va_common.testing import ros_context, wait_for

MESSAGES = 100


@pytest.fixture
def node():
    with ros_context() as context:
        node = Node('listener', context=context)
        yield node
        node.destroy_node()


def subscribe(node, callback, failed=lambda error: None):
    stream = StreamSubscription(node, Int32, 'numbers', callback, qos.AUDIO, failed)
    publisher = node.create_publisher(Int32, 'numbers', qos.AUDIO)
    wait_for(publisher.get_subscription_count, 10, 'the subscription')
    return stream, publisher


def send(publisher, heard, count=MESSAGES):
    """One message after the other was heard."""
    before = len(heard)
    for number in range(count):
        publisher.publish(Int32(data=number))
        wait_for(lambda wanted=before + number: len(heard) > wanted, 10, 'a message')


def test_every_message_is_heard_once_and_in_order_though_nothing_spins(node):
    heard = []
    stream, publisher = subscribe(node, lambda message: heard.append(message.data))
    send(publisher, heard)
    stream.close()
    assert heard == list(range(MESSAGES))


def test_messages_that_come_at_once_are_all_heard(node):
    heard = []
    stream, publisher = subscribe(node, lambda message: heard.append(message.data))
    for number in range(qos.AUDIO.depth):
        publisher.publish(Int32(data=number))
    wait_for(lambda: len(heard) == qos.AUDIO.depth, 10, 'all')
    stream.close()
    assert heard == list(range(qos.AUDIO.depth))


def test_an_executor_leaves_it_alone_and_is_not_even_woken(node):
    class CountingExecutor(NodeExecutor):
        turns = 0

        def get_nodes(self):  # each time that it collects what to wait for
            self.turns += 1
            return super().get_nodes()

    executor = CountingExecutor(2, context=node.context)
    executor.add_node(node)
    spinner = Spinner(executor, lambda error: None)
    heard, threads = [], set()

    def hear(message):
        threads.add(threading.current_thread().name)
        heard.append(message.data)

    stream, publisher = subscribe(node, hear)
    before = executor.turns
    send(publisher, heard)
    assert executor.turns - before < MESSAGES / 2
    assert threads == {'numbers'}
    stream.close()
    spinner.stop(5.0)


def test_a_message_that_cannot_be_taken_is_told(node):
    raised = []
    stream, publisher = subscribe(node, lambda message: None, raised.append)

    def fail(handle):
        raise ValueError('no message')

    stream._take = fail
    publisher.publish(Int32(data=1))
    wait_for(lambda: raised, 10, 'the failure')
    assert str(raised[0]) == 'no message'
    stream.close()


def test_what_the_callback_raises_is_told_and_the_next_message_is_heard(node):
    heard, raised = [], []

    def hear(message):
        heard.append(message.data)
        if message.data == 1:
            raise ValueError('one')

    stream, publisher = subscribe(node, hear, raised.append)
    send(publisher, heard, 3)
    stream.close()
    assert heard == [0, 1, 2]
    assert [str(error) for error in raised] == ['one']


def test_closed_it_hears_nothing_and_can_be_closed_again(node):
    heard = []
    stream, publisher = subscribe(node, lambda message: heard.append(message.data))
    stream.close()
    wait_for(lambda: publisher.get_subscription_count() == 0, 10, 'it is gone')
    publisher.publish(Int32(data=1))
    stream.close()
    assert not heard
    assert not stream._thread.is_alive()


def test_it_can_be_made_again_and_again(node):
    for _ in range(10):
        heard = []
        stream, publisher = subscribe(node, lambda message, heard=heard: heard.append(message))
        send(publisher, heard, 1)
        stream.close()
        node.destroy_publisher(publisher)
    assert not list(node.subscriptions)


def test_a_message_that_hangs_is_no_hanging_end(node):
    inside, release = threading.Event(), threading.Event()

    def hang(message):
        inside.set()
        release.wait(30)

    stream, publisher = subscribe(node, hang)
    publisher.publish(Int32())
    assert inside.wait(10)
    with pytest.raises(AssistantError) as raised:
        stream.close(0.05)
    assert raised.value.code == ErrorCode.TIMEOUT
    release.set()
    stream.close()


def test_its_thread_ends_with_the_context(node):
    stream, _ = subscribe(node, lambda message: None)
    node.context.try_shutdown()
    wait_for(lambda: not stream._thread.is_alive(), 10, 'the thread')
