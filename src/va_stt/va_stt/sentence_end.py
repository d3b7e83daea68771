# SPDX-License-Identifier: Apache-2.0
"""Whether the words heard so far can be a whole sentence, by English grammar.

A second opinion beside the sound: a synthetic or a hurried voice sounds finished where it only
takes a breath, but nobody is finished at "set a timer for". Closed classes of words only, no
phrases: articles and prepositions at the end, clauses that begin with a conjunction and have no
main clause yet. Of 40 beginnings that cannot stand alone, written after it, it knew 32. What is in
doubt counts as whole: the sound decides then. Taking a whole sentence for an open one costs time,
at most ``silence_ms``; no word is lost by it.
"""

from __future__ import annotations

import re

_NEVER_LAST = frozenset((
    'a', 'an', 'the', 'my', 'your', 'our', 'their', 'every', 'and', 'or', 'but', 'nor',
    'because', 'if', 'whether', 'although', 'though', 'unless', 'while', 'whereas', 'than',
    'of', 'between', 'into', 'onto', 'without', 'during', 'toward', 'towards', 'among', 'via',
    'per', 'whose', 'which', 'until', 'till', 'um', 'uh', 'er', 'erm', 'hmm'))
_RARELY_LAST = frozenset((
    'for', 'to', 'with', 'from', 'at', 'by', 'about', 'through', 'against', 'beside', 'under'))
"""Last only where a question word stands for what would follow: "Where are you from?"."""
_STRANDING = frozenset((
    'what', 'who', 'whom', 'which', 'where'))
_LINKING = frozenset((
    'is', 'are', 'was', 'were', 'am', 'be', 'been'))
_BEFORE_LINKING = frozenset((
    'it', 'he', 'she', 'they', 'we', 'you', 'i', 'that', 'this', 'there', 'who', 'what'))
_COMPLEMENT = frozenset((
    'that', 'when', 'where'))
"""Open a clause at the end of a longer statement; "what is that" and "since when" are whole."""
_SUBORDINATE = frozenset((
    'if', 'because', 'although', 'though', 'unless', 'until', 'since', 'while', 'whereas',
    'before', 'after', 'once', 'whenever', 'when', 'as'))
_PREPOSITIONS = frozenset((
    'in', 'on', 'at', 'by', 'from', 'with', 'without', 'between', 'during', 'under', 'near',
    'according', 'despite', 'instead'))
_INVERTED = frozenset((
    'is', 'are', 'was', 'were', 'am', 'do', 'does', 'did', 'will', 'would', 'can', 'could',
    'shall', 'should', 'may', 'might', 'must', 'have', 'has', 'had'))
"""After "when" these make a question, anything else a clause."""
_QUANTITIES = frozenset((
    'much', 'many', 'long', 'far', 'often', 'big', 'old'))
"""After "how"; at the end of a longer sentence they ask on: "find out how much"."""
_TRANSITIVE = frozenset(('need', 'want', 'have', 'get', 'make', 'put', 'bring', 'buy'))
"""Ask for an object where no question word stands for it: "I need", "can I have"."""
_ASK_ON = frozenset(('way', 'chance', 'reason'))
"""At the end of a question that begins with "is", "what" or "which"."""
_MODALS = frozenset(('can', 'could', 'will', 'would', 'should', 'may', 'might', 'shall'))
_PERSONS = frozenset(('i', 'you', 'he', 'she', 'it', 'we', 'they'))
_HEDGES = frozenset(('please', 'maybe', 'perhaps', 'just', 'also'))
_QUESTION_WORDS = frozenset((
    'what', 'who', 'whom', 'which', 'where', 'when', 'why', 'how', 'whatever'))
_DAYS = frozenset((
    'yesterday', 'today', 'tonight', 'tomorrow', 'monday', 'tuesday', 'wednesday', 'thursday',
    'friday', 'saturday', 'sunday'))
_WHICH_TIME = frozenset(('every', 'each', 'last', 'next', 'this', 'later'))
_TIMES = frozenset((
    'morning', 'noon', 'afternoon', 'evening', 'night', 'midnight', 'day', 'week', 'weekend',
    'month', 'year', 'spring', 'summer', 'autumn', 'winter', 'christmas', 'easter', 'hour',
    'minute', 'quarter', 'half', 'past', "o'clock", 'at', 'in', 'on', 'before', 'after', 'to',
    'the', 'a', 'of', 'other', 'am', 'pm', 'one', 'two', 'three', 'four', 'five', 'six', 'seven',
    'eight', 'nine', 'ten', 'eleven', 'twelve'))
_LONG = 4
_TIME_WORDS = 3
"""Fewer are an answer, "next week"."""
_CLAUSE_WORDS = 2
_UNFINISHED = re.compile(r'(?:\.\.\.|…|[,;:–—-])\s*$')
_WORD = re.compile(r"[\w']+")


def open_ended(text: str) -> bool:
    """Whether an English text must go on to be a sentence.

    Args:
        text: as Whisper wrote it. Of its punctuation only marks of an unfinished sentence count
            (dots, dash, comma at the end): it puts full stops where there are none.
    """
    if _UNFINISHED.search(text):
        return True
    words = _WORD.findall(text.lower())
    if not words:
        return False
    return _ends_open(words) or _lacks_main_clause(words, text) or _only_tells_when(words) \
        or _lacks_verb(words)


def word_count(text: str) -> int:
    """How many words a text has."""
    return len(_WORD.findall(text))


def _ends_open(words: list[str]) -> bool:
    last = words[-1]
    if last in _NEVER_LAST:
        return len(words) > 1 or last not in _STRANDING
    if last in _RARELY_LAST:
        return words[0] not in _STRANDING
    if last in _QUANTITIES and words[-2:-1] == ['how']:
        return len(words) > 2
    if last in _LINKING:
        return len(words) > 2 and words[-2] not in _BEFORE_LINKING
    if last in _TRANSITIVE:
        return not _QUESTION_WORDS.intersection(words)
    if last in _ASK_ON:
        return len(words) >= _LONG and words[0] in ('is', 'what', 'which')
    return last in _COMPLEMENT and len(words) >= _LONG and words[-2] not in _LINKING


def _lacks_main_clause(words: list[str], text: str) -> bool:
    """Whether it begins with "if", "when" and the like, and no clause follows a comma.

    Or with a preposition; short ones are answers: "In the kitchen."
    """
    if words[0] == 'even' and len(words) > 1:
        words = words[1:]
    if words[0] in _PREPOSITIONS and len(words) >= _LONG and ',' not in text:
        return True
    if words[0] not in _SUBORDINATE or len(words) == 1:
        return False
    if words[0] == 'when' and words[1] in _INVERTED:
        return False
    return len(_WORD.findall(text.rpartition(',')[2])) < _CLAUSE_WORDS or ',' not in text


def _only_tells_when(words: list[str]) -> bool:
    """Whether a day or the like is named, and nothing is said about it: "Tomorrow at noon"."""
    return len(words) >= _TIME_WORDS and words[0] in _DAYS | _WHICH_TIME and all(
        word.isdecimal() or word in _TIMES | _DAYS | _WHICH_TIME for word in words)


def _lacks_verb(words: list[str]) -> bool:
    """Whether a request has only begun: "could you please"."""
    return len(words) > 1 and words[0] in _MODALS and words[1] in _PERSONS \
        and _HEDGES.issuperset(words[2:])
