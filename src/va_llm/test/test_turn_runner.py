# SPDX-License-Identifier: Apache-2.0
"""Turns: newest wins, cancel within a token, bounded queue, health by progress and probe."""

from pathlib import Path
import sys
import threading

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.testing import FakeClock, wait_for
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Deadlines
from va_llm.engine_health import EngineHealth
from va_llm.history import History
from va_llm.turn_runner import MAX_REPLY, TurnRunner

sys.path.insert(0, str(Path(__file__).parent))
from llm_fakes import FakeEngine

PREFIX = (ChatMessage('system', 'be short'),)
FIRST, SECOND = TurnKey('d1', 1), TurnKey('d1', 2)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def pieces():
    return []


@pytest.fixture
def runner(engine, clock, pieces):
    runner = TurnRunner(engine, PREFIX, History(8, 1000), Deadlines(2.0, 1.0), pieces.append,
                        lambda: 50, clock)
    yield runner
    engine.gate.set()
    runner.close()


def text_of(pieces, key):
    return ''.join(p.text for p in pieces if p.key == key)


def end_of(pieces, key):
    (last,) = [p for p in pieces if p.key == key and p.is_last]
    return last


def test_an_answer(runner, engine, pieces):
    assert runner.answer(FIRST, 'Can you?').result(5).finish_reason == 'stop'
    assert text_of(pieces, FIRST) == 'Yes I can .'
    assert end_of(pieces, FIRST).error is None
    assert engine.requests[0] == ChatRequest((*PREFIX, ChatMessage('user', 'Can you?')), 50)


def test_the_next_turn_knows_the_one_before(runner, engine):
    runner.answer(FIRST, 'Can you?').result(5)
    runner.answer(SECOND, 'Sure?').result(5)
    assert [m.content for m in engine.requests[1].messages] == \
        ['be short', 'Can you?', 'Yes I can .', 'Sure?']


def test_a_newer_turn_stops_an_older_one(runner, engine, pieces):
    engine.hold()
    first = runner.answer(FIRST, 'Can you?')
    assert engine.at_gate.wait(5)
    second = runner.answer(SECOND, 'No, stop')
    assert first.result(5).finish_reason == 'cancelled'
    assert second.result(5).finish_reason == 'stop'
    assert text_of(pieces, FIRST) == 'Yes'
    assert end_of(pieces, FIRST).error.code == ErrorCode.CANCELLED
    # What had been said of the first answer is remembered.
    assert [m.content for m in engine.requests[1].messages][2:] == ['Yes', 'No, stop']


def test_a_newer_revision_of_a_turn_replaces_it(runner, engine, pieces):
    engine.hold()
    runner.answer(FIRST, 'Can you')
    assert engine.at_gate.wait(5)
    runner.answer(TurnKey('d1', 1, 1), 'Can you fly?').result(5)
    assert [m.content for m in engine.requests[1].messages] == ['be short', 'Can you fly?']


def test_an_older_turn_is_refused(runner):
    runner.answer(SECOND, 'two').result(5)
    with pytest.raises(AssistantError, match='newer turn') as caught:
        runner.answer(FIRST, 'one')
    assert caught.value.code == ErrorCode.OUTDATED


@pytest.mark.parametrize('text', ['', '  \n', 'x' * 8001])
def test_empty_and_huge_texts_are_refused(runner, text):
    with pytest.raises(AssistantError) as caught:
        runner.answer(FIRST, text)
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT


def test_stop(runner, engine, pieces):
    engine.hold()
    future = runner.answer(FIRST, 'Can you?')
    assert engine.at_gate.wait(5)
    assert runner.stop('d0', 9, 'older dialog') == 0
    assert runner.stop('d1', 1, 'barge-in') == 1
    assert future.result(5).finish_reason == 'cancelled'
    assert end_of(pieces, FIRST).error.message == 'stopped: barge-in'


@pytest.mark.parametrize('answer', [' '.join(['a' * 1000] * 40), 'a' * 40_000])
def test_an_endless_answer_ends_at_its_limit_as_one_that_is_done(runner, engine, pieces, answer):
    engine.answer = answer
    assert runner.answer(FIRST, 'Can you?').result(30).finish_reason == 'length'
    assert len(text_of(pieces, FIRST)) == MAX_REPLY - len(' ')  # in front of its first word
    assert end_of(pieces, FIRST).error is None
    engine.answer = 'Yes.'
    assert runner.answer(SECOND, 'Sure?').result(30).finish_reason == 'stop'


def test_a_stop_that_comes_before_its_turn(runner):
    runner.stop('d1', 1, 'too late')
    with pytest.raises(AssistantError, match='has been stopped'):
        runner.answer(FIRST, 'one')
    assert runner.answer(SECOND, 'two').result(5).finish_reason == 'stop'


def test_a_failure_is_the_end_of_the_reply(runner, engine, pieces):
    engine.failure = AssistantError(ErrorCode.TIMEOUT, 'no first token')
    with pytest.raises(AssistantError):
        runner.answer(FIRST, 'Can you?').result(5)
    assert end_of(pieces, FIRST).error.code == ErrorCode.TIMEOUT
    engine.failure = RuntimeError('bug')
    with pytest.raises(RuntimeError):
        runner.answer(SECOND, 'Can you?').result(5)
    assert end_of(pieces, SECOND).error.code == ErrorCode.INTERNAL


def test_a_turn_goes_before_a_completion(runner, engine):
    engine.hold()
    free = runner.complete(ChatRequest(PREFIX, 10), lambda text: None, CancelToken())
    assert engine.at_gate.wait(5)
    assert runner.answer(FIRST, 'hi').result(5).finish_reason == 'stop'
    assert free.result(5).finish_reason == 'cancelled'


def test_the_queue_is_bounded(runner, engine):
    engine.hold()
    requests = 0
    with pytest.raises(AssistantError) as caught:
        for _ in range(20):
            runner.complete(ChatRequest(PREFIX, 10), lambda text: None, CancelToken())
            requests += 1
    assert caught.value.code == ErrorCode.BUSY
    assert requests <= 10
    runner.stop('', 0, 'enough')
    assert runner.wait_idle(5)


def test_nothing_is_heard_after_a_cancel(runner, engine):
    heard, cancel = [], CancelToken()

    def listen(text):
        heard.append(text)
        cancel.cancel('enough')

    runner.complete(ChatRequest(PREFIX, 10), listen, cancel).result(5)
    assert heard == [' Yes']


def test_a_hung_engine_is_noticed(runner, engine, clock):
    engine.hold()
    assert runner.stuck() is None
    runner.answer(FIRST, 'hi')
    assert engine.at_gate.wait(5)
    clock.advance(1.9)
    assert runner.stuck() is None
    clock.advance(0.2)
    assert runner.stuck() == 'fake: no token for more than 1 s'
    engine.gate.set()
    assert runner.wait_idle(5)
    assert runner.stuck() is None


def test_close_ends_a_running_answer(engine, clock, pieces):
    runner = TurnRunner(engine, PREFIX, History(8, 1000), Deadlines(), pieces.append, lambda: 50,
                        clock)
    engine.hold()
    runner.answer(FIRST, 'hi')
    assert engine.at_gate.wait(5)
    runner.close()
    assert end_of(pieces, FIRST).error.code == ErrorCode.UNAVAILABLE
    assert 'llm' not in [thread.name for thread in threading.enumerate()]


# Health -----------------------------------------------------------------------------------------

@pytest.fixture
def health(runner, clock):
    return EngineHealth(runner, clock)


def probed(runner, engine, count):
    wait_for(lambda: len(engine.requests) == count and not runner.busy, 5, 'a probe')


def test_an_idle_engine_is_probed(health, runner, engine, clock):
    health.check(60)
    assert engine.requests == []
    clock.advance(61)
    health.check(0)
    assert engine.requests == []
    health.check(60)
    probed(runner, engine, 1)
    assert engine.requests[0].max_tokens == 1
    assert health.problem() is None
    health.check(60)
    assert len(engine.requests) == 1


def test_a_failed_turn_brings_a_probe_and_a_failed_probe_a_problem(health, runner, engine, clock):
    engine.failure = AssistantError(ErrorCode.UNAVAILABLE, 'Ollama is away')
    health.failed(engine.failure)
    assert health.problem() is None
    health.check(0)
    probed(runner, engine, 1)
    wait_for(health.problem, 5, 'the problem')
    assert health.problem() == 'Ollama is away'
    assert health.engine_fails
    health.check(0)
    assert len(engine.requests) == 1  # not before a second has passed
    engine.failure = None
    clock.advance(1.1)
    health.check(0)
    probed(runner, engine, 2)
    wait_for(lambda: health.problem() is None, 5, 'recovery')
    assert not health.engine_fails


def test_a_turn_that_works_clears_the_problem(health, runner, engine, clock):
    health.failed(AssistantError(ErrorCode.ENGINE_FAILED, 'broken'))
    clock.advance(0.5)
    runner.answer(FIRST, 'hi').result(5)
    health.check(0)
    assert len(engine.requests) == 1


def test_a_bad_request_is_not_the_engines_fault(health, engine, clock):
    health.failed(AssistantError(ErrorCode.INVALID_ARGUMENT, 'too long'))
    health.check(0)
    assert engine.requests == []
