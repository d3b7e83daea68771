# SPDX-License-Identifier: Apache-2.0
"""The judge must not let a silent, garbled or confused assistant pass."""
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from virtual_room.conversation import Record, Said, Turn
from virtual_room.report import Judge, make_report
from virtual_room.room_process import Recording
from virtual_room.script import Line

T0 = 1000.0
QUESTION = Line('What is the capital of France?', Path('q.wav'))
WAKE = Line('Hey Jarvis.', Path('w.wav'))


class FakeEar:
    def __init__(self, text='The capital of France is Paris.', greeting='Hi master'):
        self.text, self.greeting = text, greeting

    def transcribe(self, samples):
        return self.greeting if samples.size < 2 * 16000 else self.text


@pytest.fixture
def record():
    said = Said(QUESTION, T0 + 5, T0 + 7, False)
    turn = Turn(said, 'd1', 1, True, QUESTION.text, 'The capital of France is Paris.',
                T0 + 9.0, T0 + 11.0)
    return Record(boot_ms=1.0, greeting_s=(T0 + 1, T0 + 2),
                  said=[Said(WAKE, T0 + 3, T0 + 4, True), said],
                  turns=[turn], wakes=[SimpleNamespace(received_s=T0 + 4.2)])


@pytest.fixture
def speaker(tmp_path):
    recording = Recording(tmp_path / 'speaker.wav')
    sound = np.zeros(12 * 16000)
    sound[int(9.1 * 16000):11 * 16000] = 0.1
    recording.append(sound)
    recording.close()
    return tmp_path / 'speaker.wav'


def report_of(record, speaker, ear=None):
    return make_report(Judge(record, speaker, T0, ear or FakeEar()), profile='cpu', engines={},
                       greeting='Hi, Master!', expected_wakes=1, expected_turns=1)


def test_a_good_conversation_passes(record, speaker):
    report = report_of(record, speaker)
    assert report['passed'], report['problems']
    assert report['turns'][0]['voice_to_voice_ms'] == pytest.approx(2100, abs=10)
    assert report['wakes'] == {'expected': 1, 'got': 1, 'false': 0}
    assert list(report) == ['passed', 'profile', 'engines', 'boot_ms', 'greeting', 'wakes',
                            'turns', 'problems']
    assert list(report['turns'][0]) == ['dialog_id', 'turn', 'woken', 'user_said', 'heard',
                                        'reply', 'spoken', 'voice_to_voice_ms']


@pytest.mark.parametrize(('change', 'problem'), [
    ({'heard': 'thank you for watching'}, 'understood'),
    ({'reply': ''}, 'no reply text'),
    ({'number': 2}, 'turn 1 of a new dialog'),
    ({'woken': False}, 'does not continue'),
])
def test_a_wrong_turn_fails(record, speaker, change, problem):
    record.turns = [replace(record.turns[0], **change)]
    assert problem in report_of(record, speaker)['problems'][0]


@pytest.mark.parametrize(('ear', 'problem'), [
    (FakeEar(text=''), 'nothing was heard'),
    (FakeEar(text='mumble mumble'), 'the speaker said'),
    (FakeEar(greeting=''), 'greeting'),
])
def test_what_cannot_be_heard_fails(record, speaker, ear, problem):
    assert problem in report_of(record, speaker, ear)['problems'][0]


def test_a_silent_speaker_fails(record, speaker):
    recording = Recording(speaker)
    recording.append(np.zeros(12 * 16000))
    recording.close()
    assert any('no beginning' in p for p in report_of(record, speaker)['problems'])


@pytest.mark.parametrize(('times', 'wakes'), [
    ([], {'expected': 1, 'got': 0, 'false': 0}),
    ([T0 + 4.2, T0 + 5.5], {'expected': 1, 'got': 1, 'false': 1}),
    ([T0 + 4.2, T0 + 10], {'expected': 1, 'got': 1, 'false': 1}),
])
def test_wakes_are_counted_where_they_are_due(record, speaker, times, wakes):
    record.wakes = [SimpleNamespace(received_s=time) for time in times]
    report = report_of(record, speaker)
    assert report['wakes'] == wakes
    assert not report['passed']


def test_what_went_wrong_on_the_way_fails(record, speaker):
    record.problems.append('still running after the end: kwd (7)')
    assert not report_of(record, speaker)['passed']
