# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from virtual_room.hearing import onset, RATE, share_heard, word_error, words


@pytest.mark.parametrize(('text', 'expected'), [
    ('There are 7 days.', 'there are seven days'),
    ("It's 42, isn't it?", 'it is forty two isnt it'),
    ('1,365 or 365!', '1365 or three hundred sixty five'),
    ('', ''),
])
def test_words(text, expected):
    assert words(text) == expected.split()


@pytest.mark.parametrize(('expected', 'heard', 'error'), [
    ('what is the capital', 'What is the capital?', 0.0),
    ('what is the capital', 'what was the capital', 0.25),
    ('what is', 'what is it now', 1.0),
    ('what is', '', 1.0),
])
def test_word_error(expected, heard, error):
    assert word_error(expected, heard) == pytest.approx(error)


def test_a_garbled_answer_is_not_taken_for_the_reply():
    assert share_heard('The capital of France is Paris.', 'the capital of France is Paris') == 1.0
    assert share_heard('The capital of France is Paris.', 'thank you for watching') == 0.0


def test_onset_is_where_sound_begins():
    samples = np.zeros(RATE, np.float32)
    samples[8000:9000] = 0.1
    assert onset(samples, 0, RATE) == 8000
    assert onset(samples, 10000, RATE) is None
