# SPDX-License-Identifier: Apache-2.0
"""Cuts the wake phrase off the beginning of a transcript, however Whisper spelt it."""

from __future__ import annotations

import re

WHOLE_LIKE = 0.72
"""Similarity, 0 to 1, from which words are the whole phrase ('hey travis' for 'hey jarvis')."""
TAIL_LIKE = 0.84
"""The same for its last word alone ('jarvis'): stricter, there is less to go by."""
TAIL_LETTERS = 4
MAX_EXTRA_WORDS = 1
MAX_WORDS_BEFORE = 3
"""Words of earlier talk that the second before the wake word may hold; they are cut too."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SOUNDS = (
    (r'^(?:hay|hei|heh|ey|eh|a)(?=[^aeiou])', 'hey'), (r'ch|tr|dr|dj|sch|sh|zh', 'j'),
    (r'g(?=[eiy])', 'j'), (r'ph', 'f'), (r'ck|q|c(?=[aou]|$|[^aeiouy])', 'k'), (r'c', 's'),
    (r'z', 's'), (r'([aeiouy]+)r(?=[^aeiouy]|$)', r'\1'), (r'w', 'v'),
    (r'(?<=[aeiou])y', ''), (r'[ou]+', 'o'), (r'[eiy]+', 'i'), (r'(.)\1+', r'\1'),
)


def cut_wake_phrase(text: str, phrase: str) -> str:
    """Return ``text`` without the wake phrase at its beginning.

    Args:
        text: a transcript, 'Hey Travis, what time is it?'.
        phrase: the wake phrase, 'hey jarvis'; empty: nothing is cut.

    Returns:
        'What time is it?': the rest, its first letter in the case of a sentence. ``text`` itself
        when it does not begin with something that sounds like the phrase.
    """
    wanted = [word.lower() for word in _WORD.findall(phrase)]
    if not wanted:
        return text
    for _ in range(2):  # said twice by someone who was not heard
        end = _phrase_end(text, wanted)
        if end is None:
            return text
        rest = text[end:].lstrip(' \t,.;:!?-–—…')
        text = rest[:1].upper() + rest[1:]
    return text


def _phrase_end(text: str, wanted: list[str]) -> int | None:
    """Where the phrase ends in ``text``; None when it is not there."""
    words = list(_WORD.finditer(text))
    best: tuple[float, int] | None = None
    for first in range(min(len(words), MAX_WORDS_BEFORE + 1)):
        for count in range(1, len(wanted) + MAX_EXTRA_WORDS + 1):
            part = words[first:first + count]
            said = ''.join(match.group().lower() for match in part)
            score = _score(said, wanted, first == 0)
            if score > 0 and (best is None or score > best[0]):
                best = (score, part[-1].end())
        if best is not None:
            return best[1]
    return None


def _score(said: str, wanted: list[str], at_start: bool) -> float:
    """How well ``said`` is the whole phrase or its last word; 0 below the thresholds.

    What is not at the start must be the whole phrase, and be it closely.
    """
    whole = similarity(''.join(wanted), said)
    if whole >= (WHOLE_LIKE if at_start else TAIL_LIKE):
        return whole
    tail = wanted[-1]
    if at_start and len(wanted) > 1 and len(tail) >= TAIL_LETTERS:
        alike = similarity(tail, said)
        if alike >= TAIL_LIKE:
            return alike
    return 0.0


def similarity(first: str, second: str) -> float:
    """1 for words that sound the same in English, 0 for nothing in common.

    One minus the edit distance of the sounds (:func:`sound_key`) over the longer length.
    """
    a, b = sound_key(first), sound_key(second)
    if not a or not b:
        return 0.0
    return 1.0 - _edit_distance(a, b) / max(len(a), len(b))


def sound_key(word: str) -> str:
    """A rough key of how a word sounds: 'travis' and 'jarvis' both give 'javis'."""
    for pattern, replacement in _SOUNDS:
        word = re.sub(pattern, replacement, word)
    return word


def _edit_distance(a: str, b: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
