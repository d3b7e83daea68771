# SPDX-License-Identifier: Apache-2.0
"""Whether a reply plays without a gap, by the measured speed of Kokoro: pure arithmetic."""

import pytest

from va_tts.piece_length import (
    first_length,
    FIRST_LENGTHS,
    FIRST_WORK_S,
    LARGEST,
    limits,
    LONGEST_FLOOR,
    SAFETY,
    SHORTEST,
    speech_s,
    work_s,
)
from va_tts.text_pieces import PieceSplitter

SENTENCE = ('once upon a time there was a dragon who lived in a cave high up in the mountains, '
            'and every night he counted the stars until he fell asleep on his gold')
TEXTS = {
    'a word, then a long sentence': f'Absolutely! {SENTENCE}.',
    'short and long in turn': f'That is right. {SENTENCE}. It was cold. {SENTENCE}. So it was.',
    'short sentences': 'He was old. He was very wise. He liked the stars. He was red. ' * 4,
    'a list': 'You need this:\n' + '\n'.join(f'{n}. Some {n} apples' for n in range(1, 12)),
    'one long sentence': ' '.join([SENTENCE] * 20),
}


def gaps(text: str, rtf: float, believed: float | None = None) -> list[float]:
    """Silence before each piece but the first, in seconds, when the text is there at once.

    Args:
        rtf: of the synthesiser; believed: what is known of it, the same if None.
    """
    now = heard_until = 0.0
    silent: list[float] = []
    known = believed or rtf
    splitter = PieceSplitter(lambda: limits(max(0.0, heard_until - now), known),
                             first_length(known))
    splitter.add(text)
    while (piece := splitter.take(final=True)) is not None:
        now += work_s(len(piece), rtf)
        silent.append(max(0.0, now - heard_until))
        heard_until = max(heard_until, now) + speech_s(len(piece))
    return silent[1:]


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize('rtf', [0.05, 0.26, 0.35, 0.44, 0.5])
def test_no_gap_at_the_speeds_of_two_cores(text: str, rtf: float) -> None:
    assert max(gaps(text, rtf)) <= 0.1


@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
def test_an_eighth_slower_than_it_was_makes_no_gap_that_is_noticed(text: str) -> None:
    assert max(gaps(text, 0.5, believed=0.44)) <= 0.15


def test_where_speech_is_made_too_slowly_gaps_are_many_and_not_long() -> None:
    silent = gaps(TEXTS['one long sentence'], 1.5)
    assert max(silent) <= work_s(LONGEST_FLOOR / SAFETY, 1.5)


@pytest.mark.parametrize('ahead_s', [0.0, 0.5, 3.0, 1000.0])
@pytest.mark.parametrize('rtf', [0.01, 0.4, 0.94, 0.96, 30.0])
@pytest.mark.parametrize('speed', [0.5, 2.0])
def test_limits_are_limited(ahead_s: float, rtf: float, speed: float) -> None:
    fewest, longest = limits(ahead_s, rtf, speed)
    assert fewest < longest
    assert SHORTEST <= longest <= LARGEST


@pytest.mark.parametrize('rtf, speed', [(0.3, 1.0), (0.35, 1.0), (0.4, 1.0), (0.5, 2.0)])
def test_the_first_piece_is_as_long_as_can_be_made_in_time(rtf: float, speed: float) -> None:
    length = first_length(rtf, speed)
    assert work_s(length, rtf, speed) <= FIRST_WORK_S < work_s(length + 1, rtf, speed)


def test_the_first_piece_is_no_stump_and_no_speech() -> None:
    assert first_length(2.0) == FIRST_LENGTHS[0]
    assert first_length(0.02) == FIRST_LENGTHS[1]
