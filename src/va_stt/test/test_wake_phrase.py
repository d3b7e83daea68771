# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from va_stt.wake_phrase import cut_wake_phrase


@pytest.mark.parametrize('heard', [
    'Hey, Jarvis, what time is it?', 'Hey Jarvis. What time is it?',
    'Hey Travis, what time is it?',
    'Hey Jarvis what time is it?', 'Hey, Chavis, what time is it?', 'A Jarvis, what time is it?',
    'Jarvis, what time is it?', 'Hey Jarvis! Hey Jarvis, what time is it?',
    'Hey Jervis, what time is it?', 'Hey, Garvis, what time is it?',
    'hey jarvis - what time is it?', 'Hey Jarvish, what time is it?',
    'Hey, Jar Vis, what time is it?', 'Hay Jarvis, what time is it?',
    'and then, hey Jarvis, what time is it?', 'Hey, Jarvis... what time is it?',
])
def test_wake_phrase_is_cut_however_it_is_spelt(heard):
    assert cut_wake_phrase(heard, 'hey jarvis').lower() == 'what time is it?'


@pytest.mark.parametrize('heard', [
    'What time is it?', 'Hey, what time is it?', 'Have a nice day.', 'Tell me about Jarvis.',
    'Hey there, what time is it?', 'Service is bad here.', 'Harvest the apples.', 'Yes.', 'No',
    'Is Travis at home?', 'Who is Jarvis Cocker?', 'They carve it.', 'He jogs often.', '',
    'Jar of honey, please.', 'A charming voice.', 'Hey, just do it.', 'Java is a language.',
])
def test_other_words_stay(heard):
    assert cut_wake_phrase(heard, 'hey jarvis') == heard


@pytest.mark.parametrize('heard', ['Hey Jarvis.', 'Hey Jarvis', 'Jarvis!', 'Hey, Travis...'])
def test_nothing_is_left_of_the_phrase_alone(heard):
    assert cut_wake_phrase(heard, 'hey jarvis') == ''


def test_without_a_phrase_nothing_is_cut():
    assert cut_wake_phrase('Hey Jarvis, hello.', '') == 'Hey Jarvis, hello.'


@pytest.mark.parametrize(('phrase', 'heard', 'rest'), [
    ('alexa', 'Alexa, stop.', 'Stop.'), ('alexa', 'Alexa.', ''),
    ('hey mycroft', 'Hey Microsoft, stop.', 'Stop.'),
    ('hey mycroft', 'Hey Mycroft stop.', 'Stop.'),
    ('hey rhasspy', 'Hey Raspy, stop.', 'Stop.'),
])
def test_other_phrases(phrase, heard, rest):
    assert cut_wake_phrase(heard, phrase) == rest
