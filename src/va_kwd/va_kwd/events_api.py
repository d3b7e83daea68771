# SPDX-License-Identifier: Apache-2.0
"""What a wake is to others: the detection and the words to answer it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import random

from va_kwd.detector import Detection


@dataclass(frozen=True)
class WakeEvent:
    """A wake, as it is published."""

    model: str
    phrase: str
    acknowledgement: str
    """Empty when there are no phrases."""
    score: float
    word_end_s: float
    decided_s: float


class WakeEvents:
    """Makes events of detections.

    Args:
        yes_phrases: acknowledgements, one is drawn at random; may be replaced at any time.
        chance: the source of randomness.
    """

    def __init__(self, yes_phrases: Sequence[str], chance: random.Random) -> None:
        self.yes_phrases = tuple(yes_phrases)
        self._chance = chance

    def event(self, detection: Detection) -> WakeEvent:
        """The event of a detection, with an acknowledgement drawn for it."""
        phrases = self.yes_phrases
        return WakeEvent(
            detection.word.name, detection.word.phrase,
            self._chance.choice(phrases) if phrases else '',
            detection.score, detection.word_end_s, detection.decided_s)
