# SPDX-License-Identifier: Apache-2.0
"""Replies that no person would give: endless, wordless, or slower than speech."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_stream_queue import DIALOG, Stage
from tts_fakes import RATE

from va_common.testing import wait_for
from va_tts.code_blocks import CODE_WORDS
from va_tts.piece_maker import MAX_AHEAD_S
from va_tts.playback_events import Kind
from va_tts.text_pieces import FIRST_LIMIT

WORDS = 3000
ENDLESS = ' '.join(f'w{number}' for number in range(WORDS))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.engine.go.set()
    stage.queue.close()
    stage.synthesiser.close()
    assert not stage.warnings


def spoken(stage: Stage) -> list[str]:
    return [text for text, _, _ in stage.engine.spoken]


def test_three_thousand_words_without_a_stop_are_heard_soon_and_made_as_they_are_needed(
        stage: Stage) -> None:
    stage.reply(0, ENDLESS, is_last=True)
    stage.settle()
    assert len(spoken(stage)[0]) <= FIRST_LIMIT
    longest_s = max(0.1 * len(piece.split()) for piece in spoken(stage))
    assert stage.queue.playout.buffered_s() <= MAX_AHEAD_S + longest_s
    stage.play(30)
    assert not stage.of(Kind.UNDERRUN)
    assert stage.queue.playout.buffered_s() <= MAX_AHEAD_S + longest_s
    assert ' '.join(spoken(stage)) == ENDLESS[:len(' '.join(spoken(stage)))]


def test_it_is_stopped_in_the_middle_and_nothing_more_is_made_or_heard(stage: Stage) -> None:
    stage.reply(0, ENDLESS, is_last=True)
    stage.play(3)
    heard = stage.queue.stop(DIALOG, 1, 'enough')
    assert ENDLESS.startswith(heard) and len(heard.split()) < 40
    stage.queue.flush()
    made = len(stage.engine.spoken)
    sounding = len(stage.device.heard)
    stage.device.run(2)
    stage.settle()
    assert not np.any(stage.device.heard[sounding + RATE // 100:])
    assert len(stage.engine.spoken) == made
    assert stage.queue.length == 0


def test_the_next_piece_is_made_while_the_one_before_is_heard(stage: Stage) -> None:
    text = 'One two three four five. Six seven eight nine ten.'
    stage.reply(0, text, is_last=True)
    stage.play(0.1)
    assert ' '.join(spoken(stage)) == text
    assert stage.queue.playout.buffered_s() > 0.8


def test_a_piece_that_is_in_no_line_yet_is_part_of_the_reply(stage: Stage) -> None:
    stage.engine.go.clear()
    stage.reply(0, 'One two three four five. Six seven eight nine ten.', is_last=True)
    wait_for(lambda: len(spoken(stage)) == 1, 5.0, 'the first piece is being made')
    stage.device.run(0.5)
    stage.queue.flush()
    stage.engine.go.set()
    stage.play(2)
    assert stage.kinds() == ['STARTED', 'FINISHED']
    assert stage.of(Kind.FINISHED)[0].text == 'One two three four five. Six seven eight nine ten.'


@pytest.mark.parametrize('text', ['🎉', '👍🏽 ❤️\n🎉', '**', '---\n***\n', '```\n```', '| | |'])
def test_a_reply_without_a_word_ends_in_silence(stage: Stage, text: str) -> None:
    stage.reply(0, text, is_last=True)
    stage.play(0.5)
    assert stage.kinds() == ['FINISHED']
    assert not stage.engine.spoken and not np.any(stage.device.heard)


def test_code_is_announced_once_and_kept_as_it_was_written(stage: Stage) -> None:
    text = 'This is how it is done:\n```python\nprint("one. two")\n```\nThat is all there is.'
    for number, letter in enumerate(text):
        stage.reply(number, letter, is_last=number == len(text) - 1)
    stage.play(5)
    assert spoken(stage) == [
        'This is how it is done:', CODE_WORDS['en'], 'That is all there is.']
    assert stage.of(Kind.FINISHED)[0].text.split() == text.split()


def test_code_that_never_ends_is_announced_and_ends_with_the_reply(stage: Stage) -> None:
    text = '```sh\n' + 'make it so\n' * 1000
    stage.reply(0, text, is_last=True)
    stage.play(2)
    assert spoken(stage) == [CODE_WORDS['en']]
    assert stage.of(Kind.FINISHED)[0].text.split() == text.split()


def test_text_slower_than_speech_is_heard_in_parts_with_one_gap_each(stage: Stage) -> None:
    for number in range(4):
        stage.reply(number, 'one two three four five. ', is_last=number == 3)
        stage.play(1.5)
    assert stage.kinds() == [
        'STARTED', 'UNDERRUN', 'UNDERRUN', 'UNDERRUN', 'FINISHED']
    assert len(spoken(stage)) == 4  # whole sentences: it is silent all the same
    assert stage.of(Kind.FINISHED)[0].position_s == pytest.approx(2.4, abs=0.05)


def test_a_short_sentence_does_not_wait_for_the_next_when_it_is_silent(stage: Stage) -> None:
    stage.synthesiser._rtf = 0.9  # of a machine on which it pays to join sentences
    stage.reply(0, 'one two three four five. I think slowly. ')
    stage.play(2)
    assert spoken(stage) == ['one two three four five.', 'I think slowly.']


def test_where_text_trickles_in_it_is_not_held_back_until_the_sentence_ends(stage: Stage) -> None:
    sentence = 'It was a long way from there to the old town on the other side of the hill'
    for number, word in enumerate(sentence.split()):
        stage.reply(number, f'{word} ')
        stage.play(0.3)
    assert len(spoken(stage)) >= 2
    assert len(stage.of(Kind.UNDERRUN)) < len(sentence.split())
