# SPDX-License-Identifier: Apache-2.0
"""Cuts text that streams in into pieces that can be spoken one after another.

The first piece is short, so that the first sound comes fast; each later one is as long as the
synthesiser can make while what is before it plays, see :mod:`va_tts.piece_length`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
import re

from va_tts.code_blocks import find_end, find_opening, is_empty
from va_tts.piece_length import Limits, SAFETY

FIRST_LETTERS = 10
"""Letters from which the first piece ends at a clause."""
FIRST_LIMIT = 40
"""Characters after which the first piece is cut even inside a clause, where nothing is known of
the synthesiser; see :func:`va_tts.piece_length.first_length`."""
_FIRST_REACH = 1.5
_REACH = 1 / SAFETY
"""A sentence or clause end this much beyond the limit is still better than a cut at a word."""

_CLOSERS = r'[)\]"\'”’*_`]*'
_BOUNDARY = re.compile(
    rf'(?P<stop>[.!?…]+{_CLOSERS})(?=\s|$)'
    r'|(?P<wide>[。！？]+)'
    r'|(?P<line>\s*\n\s*)'
    rf'|(?P<clause>[,;:]{_CLOSERS}(?=\s|$)|(?<=\s)[—–-](?=\s|$)|[—–](?=\s))')

_NEVER_LAST = frozenset((
    'dr', 'mr', 'mrs', 'ms', 'prof', 'st', 'e.g', 'i.e', 'vs', 'cf', 'approx', 'fig', 'gen', 'col',
    'sgt', 'lt', 'capt', 'rev', 'hon', 'mt'))
_LAST_BEFORE_CAPITAL = frozenset((
    'etc', 'inc', 'ltd', 'co', 'corp', 'jr', 'sr', 'a.m', 'p.m', 'min', 'max', 'dept', 'est',
    'jan', 'feb', 'mar', 'apr', 'aug', 'sept', 'oct', 'nov', 'dec', 'vol', 'ed', 'al'))
_JOINT = re.compile(
    r' (?=(?:and|or|but|that|which|who|because|when|where|with|in|on|at|of|to|for|from|than|as|by)'
    r' )')
"""Where a clause is cut with the least harm to its melody: before these words."""
_JOINT_FROM, _FIRST_JOINT_FROM = 0.5, 0.75
"""Of the limit, where such a cut may be first: what comes after a shorter first piece is late."""
_INITIALS = re.compile(r'[a-z](\.[a-z])*')


class _Undecided(Exception):
    """What follows decides, and it has not come yet."""


class What(Enum):
    """What a piece is."""

    TEXT = 'text'
    CODE_BEGINS = 'code begins'
    """The line that opens a block."""
    CODE = 'code'
    """The rest of a block, its closing fence included; all of a block without code."""


class PieceSplitter:
    """Splits one utterance. A block that is never closed is code up to the end of the utterance.

    Args:
        limits: of the next piece; asked after each piece, and never for the first.
        first: characters after which the first piece is cut even inside a clause.
    """

    def __init__(self, limits: Callable[[], Limits] = Limits, first: int = FIRST_LIMIT) -> None:
        self._limits = limits
        self._first = first
        self._text = ''
        self._is_first = True
        self._fence = ''
        self.what = What.TEXT
        'of the piece taken last'

    def add(self, text: str) -> None:
        """Append text."""
        self._text += text

    def take(self, final: bool = False) -> str | None:
        """Remove and return the next piece, without outer spaces; None: there is no whole one.

        Args:
            final: no text will follow.
        """
        if self._fence:
            return self._rest_of_code(final)
        self._text = self._text.lstrip()
        opening = find_opening(self._text)
        if opening is not None and not opening.start():
            return self._opening(opening, final)
        end = len(self._text) if opening is None else opening.start()
        final = final or opening is not None
        cut = self._cut(self._text[:end], final)
        if cut is None and (not final or not self._text):
            return None
        return self._remove(end if cut is None else cut, What.TEXT)

    def _opening(self, opening: re.Match[str], final: bool) -> str | None:
        empty = is_empty(self._text[opening.end():], opening['fence'], final)
        if empty is None:
            return None
        self._fence = opening['fence']
        return self._remove(opening.end(), What.CODE if empty else What.CODE_BEGINS)

    def _rest_of_code(self, final: bool) -> str | None:
        end = find_end(self._text, self._fence, final)
        if end is None:
            return None
        self._fence = ''
        return self._remove(end, What.CODE)

    def _remove(self, end: int, what: What) -> str:
        piece, self._text = self._text[:end].strip(), self._text[end:]
        self._is_first, self.what = False, what
        return piece

    @property
    def left(self) -> bool:
        """Whether there is text that is in no piece yet."""
        return bool(self._text.strip())

    def _cut(self, text: str, final: bool) -> int | None:
        """Where the next piece ends in ``text``; None: not decided yet."""
        wanted, limit, reach = FIRST_LETTERS, self._first, int(self._first * _FIRST_REACH)
        if not self._is_first:
            wanted, limit = self._limits()
            reach = int(limit * _REACH)
        window = text[:reach + 1]
        clause = None
        for end, is_sentence in boundaries(window, final and len(text) <= reach):
            if clause is not None and end > limit:
                return clause
            if letters(window[:end]) < wanted:
                continue
            if is_sentence or self._is_first:
                return end
            clause = end
        if len(text) <= reach:
            return None
        joint = _FIRST_JOINT_FROM if self._is_first else _JOINT_FROM
        return clause or _word_end(window, limit, round(joint * limit))


def boundaries(text: str, final: bool) -> Iterator[tuple[int, bool]]:
    """Find clause and sentence ends, in order.

    Args:
        text: begins at the beginning of a piece.
        final: nothing follows ``text``; else its undecided end is left out.

    Yields:
        The index after the end, and whether it is a sentence end.
    """
    for match in _BOUNDARY.finditer(text):
        if match.end() == len(text) and not final and match['wide'] is None:
            return
        if match['stop'] is not None:
            try:
                ends = _is_sentence_end(text, match, final)
            except _Undecided:
                return
            if ends:
                yield match.end(), True
        else:
            yield match.end(), match['clause'] is None


def letters(text: str) -> int:
    """Count letters and digits."""
    return sum(map(str.isalnum, text))


def _word_end(window: str, limit: int, joint_from: int) -> int:
    joints = [match.start() for match in _JOINT.finditer(window, joint_from, limit + 5)]
    if joints:
        return joints[-1]
    space = window.rfind(' ', 1, limit + 1)
    return space if space > 0 else limit


def _is_sentence_end(text: str, match: re.Match[str], final: bool) -> bool:
    """Whether a full stop ends a sentence: not in 'Dr.', 'e.g.', 'U.S.', '1.' of a list."""
    stop = match['stop']
    if not stop.startswith('.') or stop.startswith('..'):
        return True
    before = text[:match.start()]
    word = re.split(r'[\s("\'“‘*_\[]', before)[-1]
    line_start = before.removesuffix(word).rstrip(' *_')
    if word.isdecimal() and (not line_start or line_start.endswith('\n')):
        return False
    return _after_abbreviation(word.lower(), text[match.end():].lstrip()[:1], final)


def _after_abbreviation(word: str, following: str, final: bool) -> bool:
    if word in _NEVER_LAST:
        return False
    if word in _LAST_BEFORE_CAPITAL or word == 'no':
        if not following and not final:
            raise _Undecided
        return not following.isdigit() if word == 'no' else not following.islower()
    return _INITIALS.fullmatch(word) is None
