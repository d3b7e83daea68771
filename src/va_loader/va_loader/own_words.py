# SPDX-License-Identifier: Apache-2.0
"""Tells the words of a person from the assistant's own that the microphone picked up."""

from __future__ import annotations

from difflib import SequenceMatcher
import re

BEFORE_WORDS, AFTER_WORDS = 30, 12
"""Around the word that was heard last: what was said in 10 s, and what tts may be ahead."""
ALIKE = 0.75
"""Share of letters in common, in order (Ratcliff and Obershelp): "is a talent", which Whisper made
of "is a tale of", has 0.78; a question about what is being said stays below 0.7."""
SHORT, SHORT_ALIKE = 8, 0.9
"""Letters up to which chance makes words alike: "wait" and "what" have 0.75."""
ALIKE_AT_ONCE = 0.6
"""The same of words that begin when the answer does: an echo that the cancellers do not know yet,
cut off by the hold that it causes. "The light" of "The language" has 0.67."""
BEGINNING = 3
"""Letters from which the beginning of its words is its own, broken off: "a drag" of "a dragon"."""
_NO_LETTER = re.compile(r'[^\w]+')


def is_own(heard: str, reply: str, spoken: str) -> bool:
    """Whether ``heard`` sounds like what the assistant itself is saying.

    Args:
        heard: what was understood while it spoke.
        reply: its answer, as far as there is text.
        spoken: the part of it that has been heard.
    """
    mine, words = _words(heard), _words(reply)
    at = len(_words(spoken))
    near = words[max(0, at - BEFORE_WORDS):at + AFTER_WORDS]
    text = ' '.join(mine)
    enough = SHORT_ALIKE if len(text) <= SHORT else ALIKE
    windows = [' '.join(near[first:first + count])
               for count in range(max(1, len(mine) - 1), len(mine) + 2)
               for first in range(max(1, len(near) - count + 1))]
    return bool(text) and any(
        (len(text) > BEGINNING and window.startswith(text))
        or SequenceMatcher(None, window, text, False).ratio() >= enough for window in windows)


def is_own_beginning(heard: str, reply: str) -> bool:
    """Whether ``heard``, which began when the reply did, is the beginning of it, misheard."""
    text, mine = ' '.join(_words(heard)), ' '.join(_words(reply))
    return len(text) > BEGINNING and SequenceMatcher(
        None, mine[:len(text)], text, False).ratio() >= ALIKE_AT_ONCE


def _words(text: str) -> list[str]:
    return _NO_LETTER.sub(' ', text.lower()).split()
