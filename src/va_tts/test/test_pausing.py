# SPDX-License-Identifier: Apache-2.0
"""A reply that is lowered or held while somebody seems to speak over it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_stream_queue import DIALOG, Stage
from tts_fakes import BLOCK, FakeDevice, LATENCY_S, RATE, tone

from va_common.errors import AssistantError, ErrorCode
from va_common.testing import FakeClock
from va_tts.pausing import AT_MOST_S, DUCKED, How, how_of
from va_tts.playback_events import Kind
from va_tts.playout import Dry, FADE_S, FarEnd, Playout

SENTENCE = ' '.join(['word'] * 20) + '.'


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.queue.close()
    stage.synthesiser.close()
    assert not [line for line in stage.warnings if 'thread' in line]


def begin(stage: Stage, seconds: float = 0.5) -> None:
    stage.reply(0, SENTENCE, is_last=True)
    stage.play(seconds)


def level(stage: Stage) -> float:
    """Of the last tenth of a second, but for the edge between two pieces."""
    return float(np.quantile(np.abs(stage.device.heard[-RATE // 10:]), 0.95))


def test_held_sound_goes_on_where_it_was_and_nothing_is_lost(stage: Stage) -> None:
    begin(stage)
    stage.queue.pause(DIALOG, 1, How.HOLD)
    silent_from = len(stage.device.heard)
    stage.play(1.0)
    held = stage.device.heard[silent_from:]
    assert not held[round(FADE_S * RATE) + BLOCK:].any()
    stage.queue.pause(DIALOG, 1, How.GO_ON)
    stage.play(3.0)
    assert stage.kinds() == ['STARTED', 'PAUSED', 'RESUMED', 'FINISHED']
    finished = stage.of(Kind.FINISHED)[0]
    assert finished.position_s == pytest.approx(finished.duration_s)
    assert finished.text == SENTENCE
    assert stage.queue.underruns == 0
    around = stage.device.heard[silent_from - BLOCK:silent_from + round(1.01 * RATE)]
    assert np.abs(np.diff(around)).max() < 0.1, 'a click'


def test_the_events_tell_when_it_is_silent_and_when_not(stage: Stage) -> None:
    begin(stage)
    asked_s = stage.clock()
    heard = stage.queue.pause(DIALOG, 1, How.HOLD)
    stage.play(1.0)
    paused = stage.of(Kind.PAUSED)[0]
    assert paused.stamp_s == pytest.approx(asked_s + LATENCY_S + FADE_S, abs=0.011)
    assert len(heard.split()) <= len(paused.text.split()) < 20
    stage.queue.pause(DIALOG, 1, How.GO_ON)
    again_s = stage.clock()
    stage.play(0.2)
    assert stage.of(Kind.RESUMED)[0].stamp_s == pytest.approx(again_s + LATENCY_S, abs=0.011)


def test_a_held_reply_that_is_stopped_stays_silent_and_the_next_one_is_heard(
        stage: Stage) -> None:
    begin(stage)
    stage.queue.pause(DIALOG, 1, How.HOLD)
    stage.play(0.3)
    before = len(stage.device.heard)
    heard = stage.queue.stop(DIALOG, 1, 'barge-in')
    stage.play(0.3)
    assert not stage.device.heard[before:].any(), 'not even a fade'
    assert 0 < len(heard.split()) < 8
    stage.reply(0, 'Something else.', is_last=True, turn=2)
    stage.play(1.0)
    assert stage.kinds(f'{DIALOG}/1') == ['STARTED', 'PAUSED', 'INTERRUPTED']
    assert stage.kinds(f'{DIALOG}/2') == ['STARTED', 'FINISHED']


def test_ducked_is_quieter_and_goes_on(stage: Stage) -> None:
    begin(stage)
    stage.queue.pause(DIALOG, 1, How.DUCK)
    stage.play(0.3)
    assert level(stage) == pytest.approx(0.3 * DUCKED, rel=0.05)
    stage.queue.pause(DIALOG, 1, How.GO_ON)
    stage.play(0.3)
    assert level(stage) == pytest.approx(0.3, rel=0.05)
    assert stage.kinds() == ['STARTED']


@pytest.mark.parametrize('how', [How.DUCK, How.HOLD])
def test_it_goes_on_by_itself(stage: Stage, how: How) -> None:
    begin(stage)
    stage.queue.pause(DIALOG, 1, how)
    stage.play(AT_MOST_S - 0.5)
    assert np.abs(stage.device.heard[-RATE // 10:]).max() < 0.1
    stage.play(4.0)
    assert stage.kinds()[-1] == 'FINISHED'


@pytest.mark.parametrize(('dialog', 'turn'), [(DIALOG, 2), ('d-other', 1)])
def test_only_what_is_being_spoken_is_held(stage: Stage, dialog: str, turn: int) -> None:
    begin(stage)
    with pytest.raises(AssistantError) as refused:
        stage.queue.pause(dialog, turn, How.HOLD)
    assert refused.value.code is ErrorCode.OUTDATED
    stage.play(3.0)
    assert stage.kinds() == ['STARTED', 'FINISHED']


def test_without_an_id_it_is_whatever_is_being_spoken(stage: Stage) -> None:
    with pytest.raises(AssistantError):
        stage.queue.pause('', 0, How.HOLD)
    stage.speak(SENTENCE)
    stage.play(0.3)
    stage.queue.pause('', 0, How.HOLD)
    stage.play(0.3)
    assert stage.kinds() == ['STARTED', 'PAUSED']


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(AssistantError, match='what 3: expected 0'):
        how_of(3)


def test_the_reference_is_silent_where_it_was_announced_and_is_not_heard() -> None:
    reports: list[object] = []
    clock = FakeClock()
    playout = Playout(RATE, reports.append)
    device = FakeDevice(playout, clock)
    playout.add(1, 0, tone(2.0, RATE))
    device.run(0.5)
    playout.hold(True)
    device.run(0.3)
    playout.hold(False)
    device.run(2.0)
    far = np.zeros(len(device.heard) + RATE, np.float32)
    for report in reports:
        if isinstance(report, FarEnd):
            first = round((report.start_s - 1000 - LATENCY_S) * RATE)
            far[first:first + len(report.samples)] = report.samples
    wrong = np.flatnonzero(np.abs(far[:len(device.heard)] - device.heard) > 0.01)
    assert len(wrong) <= 2 * FADE_S * RATE, 'apart from the two ramps it is what is heard'
    assert [report.held for report in reports if isinstance(report, Dry)] == [True, False]
