# SPDX-License-Identifier: Apache-2.0
"""More examples for the second look at a wake: espeak-ng's voices say what the model falls for.

Each text is said once; those that come near the model's threshold are said again and again, each
time by another voice in another place, with as many whole phrases between them.
"""

from __future__ import annotations

from collections.abc import Iterator
import random

import numpy as np

from hearing import formant
from hearing.chain import Engines
from hearing.check_examples import Example, heard, LEAST_SCORE
from hearing.check_scenes import scene
from hearing.check_texts import EXAMPLES
from hearing.sounds import at_level

ROUNDS = 2
HOT, WARM = 0.3, 0.02
"""Best score so far from which on a text is said twice a round, and now and then."""
NOW_AND_THEN = 30
FIRST_WHOLES = 60


class Mine:
    """Examples of one wake word by voices that cost nothing."""

    def __init__(self, word: str, models: Engines) -> None:
        self._word, self._engine = word, models.wake(word)[1]
        texts = EXAMPLES[word]
        self._near = list(dict.fromkeys(
            (*texts.near, *(text for row in texts.hard for text in row), *texts.close)))
        self._whole = texts.machine
        self._best = dict.fromkeys(self._near, 0.0)
        self._chance, self._places = random.Random(7), np.random.default_rng(7)

    def examples(self) -> Iterator[Example]:
        """Every example in which the model nearly hears the word."""
        for text, whole in self._order():
            yield from self._said(text, whole)

    def _order(self) -> Iterator[tuple[str, bool]]:
        yield from ((text, False) for text in self._near)
        for number in range(FIRST_WHOLES):
            yield self._whole[number % len(self._whole)], True
        for _ in range(ROUNDS):
            hot = [text for text, best in self._best.items() if best >= HOT]
            warm = [text for text, best in self._best.items() if WARM <= best < HOT]
            yield from ((text, False) for text in (*hot, *hot))
            some = self._chance.sample(warm, min(len(warm), NOW_AND_THEN))
            yield from ((text, False) for text in some)
            for _ in hot:
                yield self._chance.choice(self._whole), True

    def _said(self, text: str, whole: bool) -> list[Example]:
        chance = self._chance
        voice = formant.anyone(chance)
        piece = formant.speak(text, *voice, chance.randint(125, 200), chance.randint(15, 85))
        other = formant.speak(chance.choice(self._near), *voice, 160, 50)
        sound, first_s, last_s = scene(at_level(piece, -26.0), at_level(other, -26.0),
                                       self._places)
        features, scores = heard(self._word, self._engine, sound, first_s, last_s)
        if not whole:
            self._best[text] = max(self._best[text], round(float(scores.max()), 2))
        near = scores >= LEAST_SCORE[whole]
        return [Example(text, '+'.join(voice), whole, features[near], scores[near], True)] \
            if near.any() else []
