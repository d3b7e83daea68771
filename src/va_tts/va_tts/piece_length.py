# SPDX-License-Identifier: Apache-2.0
"""How long a piece may be so that it is made before the sound in front of it has been heard.

Kokoro int8 on two cores, 5 to 225 characters: speech takes 0.22 s and 0.052 s for each character
once its silent ends are cut to pauses, and 0.65 s more is made of each piece and cut off. So short
pieces cost more than they are worth, and long ones come late: the room for the next piece is the
sound that is ahead of it.
"""

from __future__ import annotations

from typing import NamedTuple

EDGES_S = 0.65
PAUSE_S = 0.22
CHARACTER_S = 0.052
"""At speed 1."""
SAFETY = 0.75
"""Part of the sound ahead that making the next piece may take: the rest is for other work."""
SHORTEST = 16
"""Characters that are allowed even if a gap comes before them: three words."""
AFTER_GAP = 40
"""The same where it is silent already; a whole sentence is said at once, however short."""
LONGEST_FLOOR = 24
"""The same where speech is hardly made as fast as it is heard: gaps are rather many than long. At
0.6 s of work for a second the longest one of an answer is 0.33 s (p95, computed for 91 answers;
0.9 s with 60), at 0.7 it is 0.59 s (2.1 s with 60)."""
LARGEST = 220
"""The largest limit: about 12 s of speech. For a good end a piece reaches to 293 characters, see
:mod:`va_tts.text_pieces`, still far below Kokoro's 510 phonemes."""
FIRST_WORK_S = 1.0
"""Making the first piece may take about so long: somebody waits for it. For a good end it may take
half as much again."""
FIRST_LENGTHS = (25, 60)
"""Characters of it at least and at most; four words are the fewest that sound like a beginning,
and that last until the next words have been made."""
FEWEST_LETTERS = 12
"""Letters from which a piece ends at a sentence; shorter sentences are joined."""
_LETTERS = 0.8
"""Of the characters of a text."""
_GAIN = 0.95


class Limits(NamedTuple):
    """Of one piece."""

    letters: int = FEWEST_LETTERS
    """It ends at the first sentence end after so many letters and digits."""
    length: int = LARGEST
    """Characters at most, unless a clause or a sentence ends soon after."""


def speech_s(length: float, speed: float = 1.0) -> float:
    """Seconds that a text of so many characters is heard, about."""
    return PAUSE_S + CHARACTER_S * length / speed


def work_s(length: float, rtf: float, speed: float = 1.0) -> float:
    """Seconds that it takes to make it.

    Args:
        rtf: seconds of work for a second of what the engine makes, its silent ends included.
    """
    return rtf * (EDGES_S + speech_s(length, speed))


def first_length(rtf: float, speed: float = 1.0) -> int:
    """Characters after which the first piece is cut even inside a clause.

    Args:
        rtf: as in :func:`work_s`.
    """
    seconds = FIRST_WORK_S / rtf - EDGES_S - PAUSE_S
    shortest, longest = FIRST_LENGTHS
    return int(min(longest, max(shortest, seconds * speed / CHARACTER_S)))


def limits(ahead_s: float, rtf: float, speed: float = 1.0) -> Limits:
    """The limits of the next piece.

    Args:
        ahead_s: seconds of sound that are still to be heard when it begins to be made.
    """
    gainful = _gainful(rtf, speed)
    if ahead_s <= 0:
        return Limits(length=max(gainful, AFTER_GAP))
    room = (SAFETY * ahead_s / rtf - EDGES_S - PAUSE_S) * speed / CHARACTER_S
    return Limits(max(FEWEST_LETTERS, round(_LETTERS * gainful)),
                  int(min(LARGEST, max(SHORTEST, gainful, room))))


def _gainful(rtf: float, speed: float) -> int:
    """Characters from which a piece is made faster than it is heard, within reason."""
    if rtf >= _GAIN:
        return LONGEST_FLOOR
    seconds = (rtf * (EDGES_S + PAUSE_S) - _GAIN * PAUSE_S) / (_GAIN - rtf)
    return int(min(LONGEST_FLOOR, max(0.0, seconds * speed / CHARACTER_S)))
