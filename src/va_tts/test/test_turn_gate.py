# SPDX-License-Identifier: Apache-2.0
import pytest

from va_common.errors import AssistantError
from va_common.ids import new_dialog_id, TurnKey
from va_common.testing import FakeClock
from va_tts.turn_gate import FORGET_S, is_covered, is_older, TurnGate, whole_turn

OLD, NEW = (new_dialog_id(seconds, '0000') for seconds in (1e9, 1e9 + 60))


@pytest.fixture
def gate() -> TurnGate:
    return TurnGate(FakeClock())


@pytest.mark.parametrize('first, second', [
    (TurnKey(NEW, 1), TurnKey(OLD, 9)), (TurnKey(OLD, 2), TurnKey(OLD, 1)),
    (TurnKey(OLD, 1, 2), TurnKey(OLD, 1, 1)),
])
def test_older_reply_is_refused(gate: TurnGate, first: TurnKey, second: TurnKey) -> None:
    gate.reply(first)
    gate.reply(first)
    with pytest.raises(AssistantError, match='outdated'):
        gate.reply(second)


def test_stopped_turn_stays_silent_but_may_apologise(gate: TurnGate) -> None:
    gate.reply(TurnKey(OLD, 1))
    gate.stop(whole_turn(TurnKey(OLD, 1)))
    with pytest.raises(AssistantError, match='stopped'):
        gate.reply(TurnKey(OLD, 1, 7))
    gate.speak(OLD, 1)
    gate.reply(TurnKey(OLD, 2))


def test_stopped_revisions_leave_newer_ones(gate: TurnGate) -> None:
    gate.stop(TurnKey(OLD, 1, 2))
    with pytest.raises(AssistantError, match='stopped'):
        gate.reply(TurnKey(OLD, 1, 2))
    gate.reply(TurnKey(OLD, 1, 3))


def test_stop_newest(gate: TurnGate) -> None:
    gate.stop_newest()
    gate.reply(TurnKey(OLD, 1))
    gate.stop_newest()
    with pytest.raises(AssistantError):
        gate.reply(TurnKey(OLD, 1))


def test_speak_for_an_older_turn_is_refused(gate: TurnGate) -> None:
    gate.reply(TurnKey(OLD, 2, 5))
    gate.speak(OLD, 2)
    with pytest.raises(AssistantError):
        gate.speak(OLD, 1)


def test_speak_for_the_same_turn_does_not_outdate_its_reply(gate: TurnGate) -> None:
    gate.reply(TurnKey(OLD, 2, 5))
    gate.speak(OLD, 2)
    gate.reply(TurnKey(OLD, 2, 5))


def test_own_ids_have_no_order(gate: TurnGate) -> None:
    gate.reply(TurnKey('zzz', 9))
    gate.reply(TurnKey(OLD, 1))
    gate.reply(TurnKey('aaa', 1))
    gate.speak('', 0)


def test_wrong_id_of_the_future_is_forgotten() -> None:
    clock = FakeClock()
    gate = TurnGate(clock)
    gate.reply(TurnKey('d29991231T000000.000000-0000', 1))
    clock.advance(FORGET_S + 1)
    gate.reply(TurnKey(OLD, 1))


def test_order() -> None:
    assert is_older(TurnKey(OLD, 1), TurnKey(NEW, 1))
    assert not is_older(TurnKey('', 0), TurnKey(NEW, 1))
    assert is_covered(TurnKey(OLD, 1), TurnKey(OLD, 1))
    assert is_covered(TurnKey(OLD, 9), TurnKey(NEW, 1))
    assert not is_covered(TurnKey(OLD, 2), TurnKey(OLD, 1))
    assert not is_covered(TurnKey('', 0), TurnKey(NEW, 1))
    assert is_covered(TurnKey('mine', 0), TurnKey('mine', 1))
