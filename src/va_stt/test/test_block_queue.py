# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

from va_common.testing import wait_for
from va_stt.block_queue import BlockQueue


@pytest.fixture
def line():
    return BlockQueue(5)


def test_blocks_come_out_in_order(line):
    assert line.put((b'a', 1.0)) and line.put((b'b', 2.0))
    assert [line.take(1, 0.0) for _ in range(3)] == [(b'a', 1.0), (b'b', 2.0), None]


def test_one_too_many_is_refused_and_the_others_stay(line):
    assert all(line.put((b'', float(i))) for i in range(5))
    assert not line.put((b'', 9.0))
    assert [line.take(1, 0.0)[1] for _ in range(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_who_wants_several_is_woken_by_the_last_of_them(line):
    taken, put = [], threading.Event()
    reader = threading.Thread(target=lambda: (taken.append(line.take(3, 30.0)), put.wait(30)))
    reader.start()
    wait_for(lambda: line._wanted == 3, 10, 'the reader')
    line.put((b'a', 1.0))
    line.put((b'b', 2.0))
    reader.join(0.1)
    assert not taken
    line.put((b'c', 3.0))
    wait_for(lambda: taken, 10, 'the block')
    put.set()
    reader.join(10)
    assert taken == [(b'a', 1.0)]
    assert line.take(2, 0.0) == (b'b', 2.0)


def test_what_is_there_is_given_when_the_time_is_over(line):
    line.put((b'a', 1.0))
    assert line.take(4, 0.01) == (b'a', 1.0)


def test_more_than_it_holds_is_never_waited_for(line):
    for number in range(5):
        line.put((b'', float(number)))
    assert line.take(100, 30.0) == (b'', 0.0)


def test_cleared_it_is_empty(line):
    line.put((b'a', 1.0))
    line.clear()
    assert line.take(1, 0.0) is None
