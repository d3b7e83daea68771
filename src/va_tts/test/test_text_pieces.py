# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from va_tts.piece_length import LARGEST, Limits, SAFETY
from va_tts.text_pieces import FIRST_LIMIT, letters, PieceSplitter, What

LONGEST = LARGEST / SAFETY


def pieces_of(splitter: PieceSplitter, text: str, final: bool = False) -> Iterator[str]:
    splitter.add(text)
    while (piece := splitter.take(final)) is not None:
        yield piece


def split(text: str, step: int = 1, limits: Callable[[], Limits] = Limits) -> list[str]:
    splitter = PieceSplitter(limits)
    pieces = [piece for start in range(0, len(text), step)
              for piece in pieces_of(splitter, text[start:start + step])]
    return [*pieces, *pieces_of(splitter, '', final=True)]


@pytest.mark.parametrize('text, pieces', [
    ('', []),
    ('  \n ', []),
    ('Yo', ['Yo']),
    ('Pi is about 3.14 and more. And e is 2.718 or so.',
     ['Pi is about 3.14 and more.', 'And e is 2.718 or so.']),
    ('The whole thing costs $29. That is not much.',
     ['The whole thing costs $29.', 'That is not much.']),
    ('The whole thing costs $29.95. That is not much.',
     ['The whole thing costs $29.95.', 'That is not much.']),
    ('Please ask Dr. Smith of the U.S. Army. He knows it all.',
     ['Please ask Dr. Smith of the U.S. Army.', 'He knows it all.']),
    ('Take some fruit e.g. apples or pears. They keep well.',
     ['Take some fruit e.g. apples or pears.', 'They keep well.']),
    ('It opens at 9 a.m. on Mondays. It closes at 5 p.m. Then it is dark.',
     ['It opens at 9 a.m. on Mondays.', 'It closes at 5 p.m.', 'Then it is dark.']),
    ('It is called No. 5 by all of us. No. That is not so at all.',
     ['It is called No. 5 by all of us.', 'No. That is not so at all.']),
    ('Well, it depends, of course, on you.', ['Well, it depends,', 'of course, on you.']),
    ('Wait... what did you say? Nothing at all!',
     ['Wait... what did you say?', 'Nothing at all!']),
    ('"Is it really true?" he asked. "It is not so," I said.',
     ['"Is it really true?"', 'he asked. "It is not so," I said.']),
    ('Here is what to buy:\n1. Apples and oranges\n2. Pears and plums',
     ['Here is what to buy:', '1. Apples and oranges', '2. Pears and plums']),
    ('It has 1,000,000 parts in it. They are small ones.',
     ['It has 1,000,000 parts in it.', 'They are small ones.']),
    ('これは長い文です。次の文もあります。', ['これは長い文です。次の文もあります。']),
])
def test_pieces(text: str, pieces: list[str]) -> None:
    for step in (1, 3, 7, len(text) or 1):
        assert split(text, step) == pieces


def test_a_first_piece_is_not_cut_at_a_joint_that_leaves_no_time_for_the_next() -> None:
    text = 'The largest planet of the solar system is Jupiter.'
    first = {limit: next(pieces_of(PieceSplitter(first=limit), text, final=True))
             for limit in (22, 25)}
    assert first == {22: 'The largest planet', 25: 'The largest planet of the'}


def test_first_piece_ends_at_a_clause_once_ten_letters_are_there() -> None:
    assert split('Sure, of course, I can do that for you.')[0] == 'Sure, of course,'


def test_a_long_first_clause_is_cut_where_it_has_a_joint() -> None:
    pieces = split('The moon is about three hundred and eighty four thousand miles away from us.')
    assert pieces[0] == 'The moon is about three hundred'
    assert split('word ' * 50)[0] == ' '.join(['word'] * 8)


def test_first_piece_does_not_depend_on_how_the_text_came() -> None:
    text = 'It covers more than a thousand years of wars and emperors, and of laws and roads.'
    assert len({split(text, step)[0] for step in (1, 2, 5, 19, len(text))}) == 1


def test_first_piece_is_out_before_the_sentence_is() -> None:
    assert list(pieces_of(PieceSplitter(), 'The answer is simple, and ')) == [
        'The answer is simple,']


def test_number_at_the_end_of_the_stream_waits_for_what_follows() -> None:
    assert not list(pieces_of(PieceSplitter(), 'The ticket will cost you $29.'))


def test_three_thousand_words_without_a_stop() -> None:
    text = ' '.join(f'word{number}' for number in range(3000))
    pieces = split(text, len(text))
    assert ' '.join(pieces) == text
    assert len(pieces[0]) <= FIRST_LIMIT
    assert max(map(len, pieces)) <= LONGEST


def test_long_sentence_is_cut_at_its_commas() -> None:
    text = ', '.join(f'this is clause number {number} of it' for number in range(100))
    assert all(piece.endswith(',') for piece in split(text, len(text))[:-1])


def test_giant_word_is_cut() -> None:
    pieces = split('x' * 5000, 5000)
    assert ''.join(pieces) == 'x' * 5000
    assert max(map(len, pieces)) <= LONGEST


def test_no_later_piece_is_longer_than_there_is_room_for() -> None:
    text = 'Absolutely! ' + 'some words, and more of them ' * 50
    rooms = iter(range(24, 500, 8))
    pieces = split(text, len(text), lambda: Limits(12, next(rooms)))
    assert pieces[0] == 'Absolutely!'
    assert all(SAFETY * len(piece) <= 24 + 8 * number for number, piece in enumerate(pieces[1:-1]))


def test_short_sentences_are_joined_where_many_pieces_cost_too_much() -> None:
    text = 'It is a dragon. It is big and red. It is old and grey. It is wise. It sleeps a lot.'
    assert split(text, 7, lambda: Limits(24, 60))[1:] == [
        'It is big and red. It is old and grey.', 'It is wise. It sleeps a lot.']


def test_letters() -> None:
    assert letters('a, b: 1!') == 3


LISTING = 'for x in y:\n    print("a. b!")\n\nprint(`2`)'
TWICE = 'Sure, here it is:\n\n```python\n{0}\n```\nIt prints a lot. Or else this way:\n\n' \
    '~~~\n{0}\n~~~ That is all.'


def taken(text: str, *cuts: int) -> list[tuple[What, str]]:
    """The pieces of a text that comes cut there; pieces of prose are joined."""
    splitter, found = PieceSplitter(), []
    for start, end in pairwise((0, *cuts, len(text))):
        splitter.add(text[start:end])
        while (piece := splitter.take(end == len(text))) is not None:
            if found and found[-1][0] is splitter.what is What.TEXT:
                piece = f'{found.pop()[1]} {piece}'
            found.append((splitter.what, piece))
    return found


@pytest.mark.parametrize('text, kinds', [
    (TWICE.format(LISTING), 'TbCTbCT'),
    (f'```\n{LISTING}\n```', 'bC'),
    (f'Like so: ```c++\n{LISTING}```\nThat was it.', 'TbCT'),
    (f'- first:\n   ````md title="a"\n```\n{LISTING}\n```\n   ````\n- then', 'TbCT'),
    (f'It never ends.\n```sh\n{LISTING}\n``', 'TbC'),
    ('Nothing.\n```\n\n```\nNothing at all.', 'TCCT'),
    ('Use ```x = 1``` and ```y```\nfor that, `z` too.\n', 'T'),
    ('Three ticks ``` make a fence of it.\nReally.', 'T'),
    ('Stray at the end.\n```', 'T'),
])
def test_code_is_apart_wherever_the_text_is_cut(text: str, kinds: str) -> None:
    marks = {What.TEXT: 'T', What.CODE_BEGINS: 'b', What.CODE: 'C'}
    whole = taken(text)
    assert ''.join(marks[what] for what, _ in whole) == kinds
    assert ''.join(''.join(piece for _, piece in whole).split()) == ''.join(text.split())
    for cut in range(1, len(text)):
        assert taken(text, cut) == whole, text[:cut]
    assert taken(text, *range(1, len(text))) == whole


def test_code_is_announced_as_soon_as_it_begins() -> None:
    splitter = PieceSplitter()
    assert list(pieces_of(splitter, '```python\nf')) == ['```python']
    assert splitter.what is What.CODE_BEGINS and splitter.left


def test_twenty_thousand_odd_characters_of_code_are_quick() -> None:
    for odd in ('`', '``` ', '```\n', ' ~~~a', '```\na', '```' + ' ' * 997):
        taken(odd * (20_000 // len(odd)))
