# SPDX-License-Identifier: Apache-2.0
"""Words of a person and words of the assistant that the microphone picked up."""

from __future__ import annotations

import pytest

from va_loader.own_words import is_own, is_own_beginning

REPLY = ('Once upon a time there was a dragon. It is a tale of the three rivers, and of what the '
         'old king did when the rain would not stop. The bus leaves at half past seven.')
SPOKEN = 'Once upon a time there was a dragon. It is a'


@pytest.mark.parametrize('heard', [
    'is a talent', 'It is a tale of the tree rivers.', 'There was a dragon.', 'dragon',
    'Once upon a time, there was a dragon, it is a tale', 'tail of the three', 'A drag.'])
def test_its_own_words_are_known_even_when_they_are_misheard(heard):
    assert is_own(heard, REPLY, SPOKEN)


@pytest.mark.parametrize('heard', [
    'Wait, what about tomorrow?', 'No.', 'Wait!', 'How old is the dragon?', 'Thank you.',
    'Tell me about the sea instead.', 'What is the name of the king?', '', '...'])
def test_the_words_of_a_person_are_not_its_own(heard):
    assert not is_own(heard, REPLY, SPOKEN)


def test_only_what_is_being_said_counts():
    late = REPLY + ' and so on' * 40
    assert is_own('There was a dragon.', late, SPOKEN)
    assert not is_own('There was a dragon.', late, late)


def test_without_a_reply_nothing_is_its_own():
    assert not is_own('Hello?', '', '')


@pytest.mark.parametrize('heard, own', [
    ('The light', True), ('the lamp', True), ('The weather', False), ('Stop that.', False),
    ('No, the other one', False), ('the', False), ('', False)])
def test_its_first_words_may_be_misheard_more(heard, own):
    reply = 'The language spoken by people in France is French.'
    assert is_own_beginning(heard, reply) is own
