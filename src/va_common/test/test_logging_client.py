# SPDX-License-Identifier: Apache-2.0
"""Delivery to a logger that is there, away, slow, full or back again."""

import json
import threading

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from va_common.errors import AssistantError, ErrorCode
from va_common.logging_client import LoggingClient
from va_common.logging_lane import Answer, CALL_DEADLINES_S, INTERNAL_ATTEMPTS, Lane
from va_common.logging_queue import (
    AppLine,
    AppQueue,
    DialogItem,
    DialogQueue,
    make_line,
    make_record,
    Record,
)
from va_common.testing import FakeClock, ros_context, spin, wait_for
from va_interfaces.srv import NewDialog, WriteApp, WriteDialog


def _line(text):
    return AppLine('INFO', text, 1.0)


def _record(text='hello', record_id='r1'):
    return DialogItem('d1', Record(1, record_id, 'USER', text, '', 1.0))


# Queues -------------------------------------------------------------------------------------


def test_lines_are_numbered_across_batches():
    queue = AppQueue(batch_lines=2)
    for text in 'abc':
        queue.add(_line(text))
    first = queue.current()
    queue.done(first, 0)
    second = queue.current()
    assert [line.text for line in first.lines + second.lines] == ['a', 'b', 'c']
    assert (first.first_sequence, second.first_sequence) == (1, 3)


def test_a_batch_stays_as_it_is_until_it_is_done():
    queue = AppQueue()
    queue.add(_line('a'))
    batch = queue.current()
    queue.add(_line('b'))
    assert queue.current() is batch
    assert len(queue) == 2


def test_the_oldest_lines_are_dropped_and_counted():
    queue = AppQueue(capacity=3)
    for text in 'abcde':
        queue.add(_line(text))
    texts = [line.text for line in queue.current().lines]
    assert texts == ['2 lines dropped: the logger did not take them in time', 'c', 'd', 'e']


def test_lines_in_flight_are_not_dropped():
    queue = AppQueue(capacity=1)
    queue.add(_line('a'))
    batch = queue.current()
    queue.add(_line('b'))
    queue.add(_line('c'))
    assert queue.current() is batch
    queue.done(batch, 0)
    following = queue.current()
    assert following.first_sequence == 2
    assert following.lines[0].text.startswith('1 lines dropped')


def test_a_full_dialog_queue_refuses_and_keeps_what_it_has():
    queue = DialogQueue(lambda item, error: None, capacity=1)
    kept = _record()
    queue.add(kept)
    with pytest.raises(AssistantError) as raised:
        queue.add(_record('more'))
    assert raised.value.code == ErrorCode.BUSY
    assert queue.current() is kept


@pytest.mark.parametrize('turn, data', [(-1, {}), (2**32, {}), (1, {'x': float('nan')}),
                                        (1, {'x': object()})])
def test_a_record_that_cannot_be_sent_is_refused(turn, data):
    with pytest.raises(AssistantError) as raised:
        make_record(turn, 'r', 'USER', 'text', data, 1.0)
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT


def test_texts_are_made_sendable():
    assert make_line('INFO', 'a\0b\udc80', 1.0).text == 'a\ufffdb?'
    assert len(make_line('INFO', 'x' * 100_000, 1.0).text) < 5000
    assert json.loads(make_record(1, 'r', 'USER', 'ä', {'k': 'ö'}, 1.0).data_json) == {'k': 'ö'}


# Lane ---------------------------------------------------------------------------------------


class FakeLogger:
    """Collects what a lane sends; the test gives the answers."""

    def __init__(self):
        self.clock = FakeClock()
        self.there = True
        self.calls = []
        self.refused = []
        self.queue = DialogQueue(lambda item, error: self.refused.append((item, error)))
        self.wakes = 0
        self.lane = Lane(self.queue, lambda: self.there, self._send, self._wake, self.clock)

    def _send(self, item, reply):
        self.calls.append((item, reply))

    def _wake(self):
        self.wakes += 1

    def add(self, *items):
        for item in items:
            self.lane.change(lambda item=item: self.queue.add(item))
        self.lane.pump()

    def answer(self, code=ErrorCode.OK, sequence=1, call=-1):
        self.calls[call][1](Answer(int(code), 'because', sequence))
        self.lane.pump()


def test_one_is_in_flight_and_order_is_kept():
    logger = FakeLogger()
    first, second = _record('a', '1'), _record('b', '2')
    logger.add(first, second)
    assert [item for item, _ in logger.calls] == [first]
    logger.answer(sequence=7)
    assert [item for item, _ in logger.calls] == [first, second]
    assert first.acknowledged.result(0) == 7
    assert not second.acknowledged.done()


def test_nothing_is_sent_while_the_logger_is_away():
    logger = FakeLogger()
    logger.there = False
    logger.add(_record())
    assert logger.calls == []
    logger.there = True
    logger.lane.pump()
    assert len(logger.calls) == 1


def test_an_unanswered_item_is_sent_again_as_it_was():
    logger = FakeLogger()
    logger.add(_record())
    logger.lane.pump()
    assert len(logger.calls) == 1
    logger.clock.advance(CALL_DEADLINES_S[0] + 0.01)
    logger.lane.pump()
    assert len(logger.calls) == 2
    assert logger.calls[0][0] is logger.calls[1][0]


def test_a_late_success_counts_and_a_late_failure_does_not():
    logger = FakeLogger()
    logger.add(_record())
    logger.clock.advance(CALL_DEADLINES_S[0] + 0.01)
    logger.lane.pump()
    logger.answer(ErrorCode.DISK, call=0)
    assert len(logger.lane) == 1
    logger.answer(ErrorCode.OK, call=0)
    assert len(logger.lane) == 0
    logger.answer(ErrorCode.OK, call=1)
    assert len(logger.lane) == 0


@pytest.mark.parametrize('code', [ErrorCode.DISK, ErrorCode.NOT_ACTIVE, ErrorCode.BUSY])
def test_what_may_pass_is_retried_after_a_pause(code):
    logger = FakeLogger()
    logger.add(_record())
    logger.answer(code)
    assert len(logger.calls) == 1
    logger.clock.advance(0.11)
    logger.lane.pump()
    assert len(logger.calls) == 2
    logger.answer(ErrorCode.OK)
    assert len(logger.lane) == 0


def test_an_invalid_record_is_given_up_and_the_next_one_goes():
    logger = FakeLogger()
    bad, good = _record('bad', '1'), _record('good', '2')
    logger.add(bad, good)
    logger.answer(ErrorCode.INVALID_ARGUMENT)
    assert bad.acknowledged.exception(0).code == ErrorCode.INVALID_ARGUMENT
    assert logger.refused[0][0] is bad
    assert logger.calls[-1][0] is good


def test_a_record_on_which_the_logger_breaks_does_not_block_for_ever():
    logger = FakeLogger()
    logger.add(_record())
    for _ in range(INTERNAL_ATTEMPTS):
        logger.answer(ErrorCode.INTERNAL)
        logger.clock.advance(10)
        logger.lane.pump()
    assert len(logger.lane) == 0
    assert logger.refused[0][1].code == ErrorCode.INTERNAL


def test_a_send_that_raises_is_an_answer():
    clock = FakeClock()
    queue = DialogQueue(lambda item, error: None)
    errors = [AssistantError(ErrorCode.DISK, 'full')]

    def send(item, reply):
        if errors:
            raise errors.pop()
        reply(Answer(0))

    lane = Lane(queue, lambda: True, send, lambda: None, clock)
    lane.change(lambda: queue.add(_record()))
    lane.pump()
    assert len(lane) == 1
    clock.advance(1)
    lane.pump()
    assert lane.wait_empty(0)


def test_a_waiter_on_a_record_may_use_the_client():
    """The outcome is given without the lane's lock, so another thread may add meanwhile."""
    logger = FakeLogger()
    item = _record()
    outcome = []

    def add_from_another_thread(future):
        thread = threading.Thread(target=lambda: logger.add(_record('b', '2')))
        thread.start()
        thread.join(5)
        outcome.append(thread.is_alive())

    item.acknowledged.add_done_callback(add_from_another_thread)
    logger.add(item)
    logger.answer()
    assert outcome == [False]


# Over ROS -----------------------------------------------------------------------------------


class FakeLoggerNode(Node):
    """The three services, with answers that the test sets."""

    def __init__(self, context):
        super().__init__('logger', context=context)
        self.code = 0
        self.written = []
        group = ReentrantCallbackGroup()
        self.create_service(WriteApp, 'logger/write_app', self._app, callback_group=group)
        self.create_service(NewDialog, 'logger/new_dialog', self._open, callback_group=group)
        self.create_service(WriteDialog, 'logger/write_dialog', self._write, callback_group=group)

    def _app(self, request, response):
        self.written.append(('app', request.first_sequence, list(request.lines)))
        response.error_code = self.code
        return response

    def _open(self, request, response):
        self.written.append(('open', request.dialog_id))
        response.error_code = self.code
        return response

    def _write(self, request, response):
        self.written.append(('write', request.record_id, request.text, request.data_json))
        response.error_code = self.code
        response.sequence = 5
        return response


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def node(context):
    node = Node('sender', context=context)
    yield node
    node.destroy_node()


def test_lines_and_records_wait_for_a_logger_that_comes_later(context, node):
    client = LoggingClient(node, 'sender')
    dialog_id = client.new_dialog()
    number = client.dialog(dialog_id, 1, 'USER', 'hello', {'words': 1})
    client.app('INFO', 'started')
    with spin(node) as executor:
        assert not client.flush(0.1)
        assert client.pending == 3
        logger = FakeLoggerNode(context)
        executor.add_node(logger)
        assert client.flush(10)
        assert number.result(0) == 5
        dialog = [entry for entry in logger.written if entry[0] != 'app']
        assert dialog[0] == ('open', dialog_id)
        assert dialog[1][2:] == ('hello', '{"words": 1}')
        assert ('app', 1, ['started']) in logger.written
        assert client.close(5)
        assert client.close(5)
    logger.destroy_node()


def test_a_refused_record_is_reported_with_no_word_of_its_text(context, node):
    client = LoggingClient(node, 'sender')
    logger = FakeLoggerNode(context)
    with spin(node, logger):
        outcome = client.dialog('d1', 1, 'USER', 'a secret', {'x': float('inf')})
        assert outcome.exception(0).code == ErrorCode.INVALID_ARGUMENT
        assert client.flush(10)
        lines = str([entry for entry in logger.written if entry[0] == 'app'])
        assert 'dialog record lost dialog=d1' in lines
        assert 'secret' not in lines
        client.close(1)
    logger.destroy_node()


def test_records_are_delivered_after_the_logger_mended(context, node):
    client = LoggingClient(node, 'sender')
    logger = FakeLoggerNode(context)
    logger.code = int(ErrorCode.DISK)
    with spin(node, logger):
        outcome = client.dialog('d1', 1, 'USER', 'hello', record_id='r9')
        wait_for(lambda: len(logger.written) >= 2, 10, 'a retry')
        logger.code = 0
        assert outcome.result(10) == 5
        assert {entry[1] for entry in logger.written} == {'r9'}
        client.close(1)
    logger.destroy_node()


def test_own_lines_of_the_logger_go_straight_to_its_writer(node):
    batches = []
    client = LoggingClient(node, 'logger')
    client.app('INFO', 'before')
    client.write_lines_with(batches.append)
    with spin(node):
        assert client.flush(5)
        client.app('INFO', 'after')
        assert client.flush(5)
        client.close(1)
    assert [line.text for batch in batches for line in batch.lines] == ['before', 'after']


def test_close_without_an_executor_does_not_wait(node):
    client = LoggingClient(node, 'sender')
    client.app('INFO', 'never delivered')
    assert not client.close(60)


def test_many_lines_are_sent_in_few_calls(context, node):
    client = LoggingClient(node, 'sender')
    for number in range(500):
        client.app('INFO', f'line {number}')
    logger = FakeLoggerNode(context)
    with spin(node, logger):
        assert client.flush(10)
        client.close(1)
    assert len(logger.written) <= 6
    lines = [line for _, _, batch in logger.written for line in batch]
    assert lines == [f'line {number}' for number in range(500)]
    logger.destroy_node()


def test_an_idle_client_has_no_timer_running(context, node):
    client = LoggingClient(node, 'sender')
    logger = FakeLoggerNode(context)
    with spin(node, logger):
        client.app('INFO', 'x')
        assert client.flush(10)
        wait_for(lambda: client._timer.is_canceled(), 5, 'the timer at rest')
        client.close(1)
    logger.destroy_node()
