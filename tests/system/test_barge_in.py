# SPDX-License-Identifier: Apache-2.0
"""A user speaks over the assistant, or coughs: real engines, in the virtual room."""
import json
import time

import numpy as np
import pytest
from settings_of_tests import INTERRUPTION, STOP, STORY
import soundfile
from virtual_room.hearing import word_error

from va_interfaces.msg import PlaybackEvent, Transcript

HEARD_S = 2.0
"""So much of the story is heard before somebody speaks."""


def playback(kind, turn):
    return lambda e: (e.topic == 'tts/playback' and e.message.turn == turn
                      and e.message.source == PlaybackEvent.SOURCE_REPLY
                      and e.message.kind == kind)


def final(turn):
    return lambda e: (e.topic == 'stt/transcript' and e.message.turn == turn
                      and e.message.kind == Transcript.FINAL)


def is_state(name):
    return lambda e: e.topic == 'loader/state' and e.message.name == name


@pytest.fixture
def story(user, observer, idle):
    """The assistant tells a story; returns the dialog's id."""
    _, end_s = user.say(STORY).times()
    heard = observer.wait(final(1), end_s - time.time() + 20.0, mark=idle)
    assert heard is not None and heard.message.outcome == Transcript.OUTCOME_SPEECH
    assert observer.wait(
        lambda e: (e.topic == 'tts/playback' and e.message.turn == 1
                   and e.message.source == PlaybackEvent.SOURCE_REPLY
                   and e.message.position_s >= HEARD_S), 90.0, mark=idle), 'no story'
    return heard.message.dialog_id


def records_of(assistant, dialog_id):
    file, = (assistant.log.parent / 'log').rglob(f'*{dialog_id}*')
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_words_over_the_answer_stop_it_and_are_the_next_question(
        assistant, user, observer, idle, story):
    user.say(INTERRUPTION).times()
    cut = observer.wait(playback(PlaybackEvent.INTERRUPTED, 1), 30.0, mark=idle)
    assert cut is not None, 'the story was not interrupted'
    question = observer.wait(final(2), 30.0, mark=idle)
    assert question is not None and question.message.dialog_id == story
    assert word_error(INTERRUPTION, question.message.text) <= 0.5
    assert observer.wait(playback(PlaybackEvent.FINISHED, 2), 90.0, mark=idle), 'no answer'
    assert observer.wait(is_state('idle'), 30.0, mark=idle)
    told, = (r for r in records_of(assistant, story)
             if r['role'] == 'ASSISTANT' and r['turn'] == 1)
    assert told['data']['outcome'] == 'interrupted'
    assert told['data']['heard'] == cut.message.text
    assert 0 < len(cut.message.text) < len(told['text'])


def test_stop_ends_the_answer_and_is_not_answered(assistant, user, observer, idle, story):
    user.say(STOP).times()
    assert observer.wait(playback(PlaybackEvent.INTERRUPTED, 1), 30.0, mark=idle)
    word = observer.wait(final(2), 30.0, mark=idle)
    assert word is not None and word.message.outcome == Transcript.OUTCOME_STOP
    assert observer.wait(is_state('follow_up'), 30.0, mark=idle)
    assert observer.wait(is_state('idle'), 30.0, mark=idle)
    assert not [e for e in observer.since(idle, 'llm/chunk') if e.message.turn > 1]


def test_a_cough_and_a_knock_and_its_own_voice_let_it_go_on(
        room, observer, idle, story, tmp_path):
    random = np.random.default_rng(7)
    for name, seconds, decay in (('cough', 0.35, 9.0), ('knock', 0.1, 60.0)):
        time_s = np.arange(round(16000 * seconds)) / 16000
        noise = 0.1 * random.standard_normal(time_s.size) * np.exp(-decay * time_s)
        soundfile.write(tmp_path / f'{name}.wav', noise, 16000)
        room.say(tmp_path / f'{name}.wav').times()
    end = observer.wait(
        lambda e: any(playback(kind, 1)(e) for kind in (
            PlaybackEvent.FINISHED, PlaybackEvent.INTERRUPTED, PlaybackEvent.FAILED)),
        180.0, mark=idle)
    assert end is not None and end.message.kind == PlaybackEvent.FINISHED
    assert end.message.position_s == pytest.approx(end.message.duration_s, abs=0.1)
    assert not [e for e in observer.since(idle, 'llm/chunk') if e.message.turn > 1]
    assert observer.wait(is_state('idle'), 30.0, mark=idle)
