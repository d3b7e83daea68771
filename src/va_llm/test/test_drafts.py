# SPDX-License-Identifier: Apache-2.0
"""Answers begun in a pause: the reply if nothing more is said, else gone without a trace."""

from pathlib import Path
import sys

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.testing import FakeClock, wait_for
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Deadlines
from va_llm.history import History
from va_llm.pace import DRAFTS, FIRST_WORK_S, LATE, LEAD, Pace
from va_llm.turn_runner import TurnRunner

sys.path.insert(0, str(Path(__file__).parent))
from llm_fakes import FakeEngine

PREFIX = (ChatMessage('system', 'be short'),)
KEY, GONE_ON = TurnKey('d1', 1, 0), TurnKey('d1', 1, 1)


class FakeNode:
    """A runner with an engine that the test holds, and all that it tells."""

    def __init__(self):
        self.engine, self.clock = FakeEngine(), FakeClock()
        self.replies, self.drafts = [], []
        self.history = History(8, 1000)
        self.runner = TurnRunner(self.engine, PREFIX, self.history, Deadlines(),
                                 self.replies.append, lambda: 50, self.clock)

    def draft(self, key=KEY, text='Can you?', wait_s=0.0):
        return self.runner.draft(key, text, wait_s, self.drafts.append)

    def begun(self, **options):
        """A draft that has its first word."""
        self.engine.hold()
        future = self.draft(**options)
        assert self.engine.at_gate.wait(5)
        return future

    def dropped(self):
        return [p.key for p in self.drafts if p.is_last and p.error is not None]


@pytest.fixture
def node():
    node = FakeNode()
    yield node
    node.engine.gate.set()
    node.runner.close()


def said(pieces):
    return ''.join(piece.text for piece in pieces)


def test_a_draft_is_told_apart_and_leaves_no_trace(node):
    node.draft().result(5)
    assert said(node.drafts) == 'Yes I can .'
    assert node.replies == []
    assert node.history.ahead('d1', 2, 'Sure?') == (ChatMessage('user', 'Sure?'),)


def test_a_whole_draft_is_the_reply_at_once(node):
    node.draft().result(5)
    future = node.runner.answer(KEY, 'Can you?')
    assert future.done() and future.result().finish_reason == 'stop'
    assert said(node.replies) == 'Yes I can .'
    assert [p.sequence for p in node.replies] == list(range(len(node.replies)))
    assert node.replies[-1].is_last and node.replies[-1].error is None
    assert len(node.engine.requests) == 1
    assert [m.content for m in node.history.ahead('d1', 2, 'Sure?')] == [
        'Can you?', 'Yes I can .', 'Sure?']


def test_a_half_draft_goes_on_as_the_reply(node):
    node.begun()
    node.clock.advance(1.5)
    future = node.runner.answer(KEY, 'can you')
    assert said(node.replies) == 'Yes' and said(node.drafts) == 'Yes'
    assert node.replies[0].age_s == pytest.approx(1.5)
    node.engine.gate.set()
    assert future.result(5).finish_reason == 'stop'
    assert said(node.replies) == 'Yes I can .' and said(node.drafts) == 'Yes'
    assert [m.content for m in node.history.ahead('d1', 2, '?')][:2] == ['can you', 'Yes I can .']


@pytest.mark.parametrize(('key', 'text'), [
    (GONE_ON, 'Can you?'), (KEY, 'Can you fly?'), (TurnKey('d1', 2), 'Can you?')])
def test_another_question_is_answered_anew(node, key, text):
    draft = node.begun()
    node.engine.answer = 'No .'
    node.runner.answer(key, text).result(5)
    assert draft.result(5).finish_reason == 'cancelled'
    assert said(node.replies) == 'No .'
    assert node.dropped() == [KEY]
    assert 'Yes' not in str(node.history.ahead('d1', 3, '?'))


def test_a_dialog_that_has_changed_is_answered_anew(node):
    second = TurnKey('d1', 2)
    node.runner.answer(KEY, 'Can you?').result(5)
    node.draft(second, 'Sure?').result(5)
    node.history.correct('d1', 1, 'Yes')
    node.runner.answer(second, 'Sure?').result(5)
    assert len(node.engine.requests) == 3
    assert node.engine.requests[-1].messages[2].content == 'Yes \u2026'


def test_going_on_drops_the_draft_while_it_is_made(node):
    draft = node.begun()
    node.runner.drop_draft('the user speaks on', GONE_ON)
    assert node.dropped() == [KEY]
    assert draft.result(5).finish_reason == 'cancelled'
    assert len([p for p in node.drafts if p.is_last]) == 1
    node.draft(GONE_ON, 'Can you fly?').result(5)
    node.runner.answer(GONE_ON, 'Can you fly?').result(5)
    assert {p.key for p in node.replies} == {GONE_ON}


def test_what_is_older_drops_nothing(node):
    node.draft(GONE_ON).result(5)
    node.runner.drop_draft('late', KEY)
    assert node.dropped() == []


def test_a_newer_draft_replaces_an_older_one(node):
    first = node.begun()
    node.engine.gate.set()
    node.draft(GONE_ON, 'Can you fly?').result(5)
    assert first.result(5).finish_reason in ('stop', 'cancelled')
    assert node.dropped() == [KEY]


def test_a_draft_waits_until_it_is_time_or_asked_for(node):
    node.draft(wait_s=60.0)
    assert node.engine.requests == []
    assert node.runner.answer(KEY, 'Can you?').result(5).finish_reason == 'stop'
    assert said(node.replies) == 'Yes I can .'
    waiting = node.draft(TurnKey('d1', 2), wait_s=60.0)
    node.runner.drop_draft('the user speaks on')
    assert waiting.result(5).finish_reason == 'cancelled'
    assert len(node.engine.requests) == 1


def test_a_draft_gives_way_to_everything_else(node):
    node.engine.hold()
    node.runner.answer(KEY, 'Can you?')
    assert node.engine.at_gate.wait(5)
    assert node.draft(TurnKey('d1', 2)) is None, 'a reply is being made'
    node.engine.gate.set()
    assert node.runner.wait_idle(5)
    draft = node.begun(key=TurnKey('d1', 2))
    free = node.runner.complete(ChatRequest(PREFIX, 10), lambda text: None, CancelToken())
    assert free.result(5).finish_reason == 'stop'
    assert draft.result(5).finish_reason == 'cancelled'


def test_a_reply_that_was_a_draft_can_be_stopped(node):
    node.begun()
    future = node.runner.answer(KEY, 'Can you?')
    assert node.draft(TurnKey('d1', 2)) is None, 'it is no draft any more'
    assert node.runner.stop('d1', 1, 'barge-in') == 1
    assert future.result(5).finish_reason == 'cancelled'
    assert node.replies[-1].error.code == ErrorCode.CANCELLED
    assert [m.content for m in node.history.ahead('d1', 2, '?')][:2] == ['Can you?', 'Yes']


@pytest.mark.parametrize('whole', [True, False])
def test_a_stopped_turn_is_not_heard_of_again(node, whole):
    node.draft().result(5) if whole else node.begun()
    node.runner.stop('d1', 1, 'stop')
    assert node.dropped() == [KEY]
    with pytest.raises(AssistantError, match='stopped'):
        node.runner.answer(KEY, 'Can you?')
    assert node.replies == []


def test_a_draft_that_fails_is_made_again_in_earnest(node):
    node.engine.failure = AssistantError(ErrorCode.UNAVAILABLE, 'no server')
    with pytest.raises(AssistantError):
        node.draft().result(5)
    assert node.replies == [] and node.dropped() == [KEY]
    node.engine.failure = None
    node.runner.answer(KEY, 'Can you?').result(5)
    assert said(node.replies) == 'Yes I can .'


def test_an_older_turn_is_not_drafted(node):
    node.runner.answer(TurnKey('d1', 2), 'Sure?').result(5)
    with pytest.raises(AssistantError, match='newer'):
        node.draft()


def test_a_node_that_goes_down_ends_its_draft(node):
    draft = node.begun()
    node.runner.close()
    wait_for(draft.done, 5, 'the end of the draft')
    assert node.replies == [] and node.dropped() == [KEY]


# When to begin ----------------------------------------------------------------------------------

def pause(pace, revision, silent_s=0.5, silence_s=2.0):
    """A pause that began at 100 s; its text is there ``silent_s`` later."""
    return pace.delay_s(TurnKey('d1', 1, revision), 100.0, 100.0 + silence_s, 100.0 + silent_s)


def test_the_first_pause_is_drafted_at_once_later_ones_just_in_time():
    pace = Pace()
    assert pause(pace, 0) == 0.0
    pace.work_s = 0.4
    assert pause(pace, 1) == pytest.approx(1.5 - LEAD * 0.4)
    pace.work_s = 2.0
    assert pause(pace, 2) == 0.0


def test_ten_false_ends_in_a_row_cost_no_more_than_a_few_drafts():
    pace = Pace()
    assert sum(pause(pace, r) is not None for r in range(10)) == DRAFTS
    assert pace.delay_s(TurnKey('d1', 2), 100.0, 102.0, 100.5) == 0.0, 'the next turn begins anew'


def test_no_draft_on_a_machine_that_lags():
    assert pause(Pace(), 0, silent_s=2.0 * LATE + 0.1) is None
    assert pause(Pace(), 0, silent_s=2.0 * LATE + 0.1, silence_s=4.0) == 0.0


def test_the_pace_follows_the_measured_speed():
    pace = Pace()
    for turn in range(1, 20):  # not drafted: 0.5 s from the question to the first sound
        pace.asked(TurnKey('d1', turn), 100.0)
        pace.ready(TurnKey('d1', turn), 100.5)
    assert pace.work_s == pytest.approx(0.5, abs=0.01)
    pace.ready(TurnKey('d9', 1), 300.0)
    assert pace.work_s == pytest.approx(0.5, abs=0.01)
    assert pace.work_s < FIRST_WORK_S


@pytest.mark.parametrize('ready_s', [101.3, 104.5])
def test_a_draft_is_measured_from_its_beginning(ready_s):
    pace = Pace()
    assert pace.delay_s(KEY, 100.0, 102.0, 100.5) == 0.0
    before = pace.work_s
    pace.asked(KEY, 102.0)
    pace.ready(KEY, ready_s)
    assert pace.work_s == pytest.approx(before + 0.3 * (ready_s - 100.5 - before))
