# SPDX-License-Identifier: Apache-2.0
"""Examples for the second look at a wake: phrases and near misses as the model sees them.

Each voice reads several texts at once, which are cut apart at the pauses, spoken faster and
slower, through a dull or a sharp microphone, near and far, in rooms, in noise, with and without
other speech before and after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from virtual_room.voices import Voices

from hearing.chain import Engines, RATE, THRESHOLD
from hearing.check_scenes import scene
from hearing.check_texts import EXAMPLES
from hearing.sounds import at_level, join, read, Sound
from hearing.texts import VOICES, WAKE_VOICES
from va_common.audio_io import float_to_int16
from va_common.model_catalogue import model_path

TEXTS_AT_ONCE = 8
ROUNDS = 2
"""How many voices read each near miss."""
ENGLISH = 7
"""The first voices, which speak without an accent, read the hard lists."""
FIRSTS = 6
"""How many other first words a voice says."""
OTHERS = 14
"""How many takes there are of other first and second words."""
LEAST_SCORE = {True: THRESHOLD, False: 0.003}
"""Frames from these scores of the wake word model on are examples."""
QUIET = 0.03
"""Of the loudest sample: below it is a pause."""
LEAST_S = 0.2
SPOKEN_S = 0.6
"""How long a phrase is at least."""
HALF = '(second word)'
_FRAME = 1280
_BLOCK = 160


@dataclass(frozen=True)
class Take:
    """A voice reading some texts at once."""

    texts: tuple[str, ...]
    voice: str
    whole: bool


@dataclass(frozen=True)
class Example:
    """A text heard once."""

    text: str
    voice: str
    whole: bool
    features: NDArray[np.float16]
    """(frames, n): what the check is given in each frame that may wake."""
    scores: NDArray[np.float32]
    """(frames,), of the wake word model."""
    machine: bool = False
    """Whether espeak-ng said it."""


def training_voices() -> list[str]:
    """Every voice but the assistant's and those of the measurements."""
    kept_out = {*VOICES, *WAKE_VOICES, 'af_heart'}
    return sorted(p.stem for p in model_path('kokoro-voices').glob('*.bin')
                  if p.stem not in kept_out)


def takes(word: str) -> list[Take]:
    """Who reads what for a wake word."""
    examples, chance = EXAMPLES[word], random.Random(1)
    voices = training_voices()
    wholes = [Take((*examples.whole[:3], chance.choice(examples.whole[4:])), voice, True)
              for voice in voices]
    readers = voices * 10
    chance.shuffle(readers)
    nears = []
    for _ in range(ROUNDS):
        texts = list(examples.near)
        chance.shuffle(texts)
        nears += [Take(tuple(texts[i:i + TEXTS_AT_ONCE]), readers.pop(), False)
                  for i in range(0, len(texts), TEXTS_AT_ONCE)]
    hard = [Take(examples.hard[number // 2 % len(examples.hard)], voice, False)
            for number, voice in enumerate(voices[:ENGLISH]) if examples.hard]
    return wholes + hard + nears


def other_words(word: str) -> list[Take]:
    """Half of the phrase with another half."""
    texts, chance = EXAMPLES[word], random.Random(3)
    every = [Take(row, voice, False) for voice in training_voices()
             for row in (tuple(chance.sample(texts.other_first, FIRSTS)), *texts.other_second)]
    return every[:OTHERS]


def examples(word: str, models: Engines, voices: Voices) -> Iterator[Example]:
    """Every example of a wake word in which its model nearly hears it."""
    yield from _examples(word, takes(word), 3, models, voices, seed=5)
    yield from _examples(word, other_words(word), 2, models, voices, seed=6)


def _examples(word: str, some: list[Take], times: int, models: Engines, voices: Voices,
              seed: int) -> Iterator[Example]:
    """Examples of some takes, each text heard so many times, differently each time."""
    chance = np.random.default_rng(seed)
    _, engine = models.wake(word)
    talk = [read(voices.wav(' '.join(take.texts), take.voice))[:RATE]
            for take in takes(word) if not take.whole]
    for take in some:
        pieces = _pieces(take, voices, word, engine)
        spoken = [(text, piece, take.whole) for text, piece in pieces]
        if take.whole and len(word.split('_')) > 1:
            spoken += [(HALF, second_half(piece), False) for _, piece in pieces]
        for text, piece, is_whole in spoken:
            for _ in range(times):
                other = talk[int(chance.integers(len(talk)))]
                sound, first, last = scene(piece, other, chance)
                features, scores = heard(word, engine, sound, first, last)
                near = scores >= LEAST_SCORE[is_whole]
                if near.any():
                    yield Example(text, take.voice, is_whole, features[near], scores[near])


def _pieces(take: Take, voices: Voices, word: str, engine: Any) -> list[tuple[str, Sound]]:
    """The texts of a take and their sounds; a sound that cannot be told apart has no text."""
    sound = read(voices.wav(' '.join(take.texts), take.voice))
    if take.whole:
        parts = _cut_at(sound, _before_rises(_scores(word, engine, sound), sound))
        parts = [part for part in parts if part.size >= SPOKEN_S * RATE]
    else:
        parts = _cut_at(sound, [(s + e) // 2 for s, e in _pauses(sound)[:len(take.texts) - 1]])
    known = len(parts) == len(take.texts)
    names = take.texts if known else ('',) * len(parts)
    return [(name, at_level(part, -26.0)) for name, part in zip(names, parts, strict=True)]


def second_half(piece: Sound) -> Sound:
    """A phrase of two words without its first: from the stop before the second one on.

    The stop is where it is quietest 0.1 to 0.35 s after the beginning of the voice.
    """
    levels = np.convolve(_levels(piece), np.ones(3), 'same')
    start = int(np.argmax(levels > 0.1 * levels.max()))
    low, high = start + round(0.1 * RATE / _BLOCK), start + round(0.35 * RATE / _BLOCK)
    return piece[(low + int(np.argmin(levels[low:high]))) * _BLOCK:]


def _cut_at(sound: Sound, places: list[int]) -> list[Sound]:
    return [part for part in np.split(sound, sorted(places)) if part.size > LEAST_S * RATE]


def _pauses(sound: Sound) -> list[tuple[int, int]]:
    """Where a sound is quiet, the longest pause first, in samples."""
    loud = np.flatnonzero(_levels(sound) > QUIET * np.abs(sound).max())
    breaks = np.flatnonzero(np.diff(loud) > 3)
    pauses = [(int(loud[b] + 1) * _BLOCK, int(loud[b + 1]) * _BLOCK) for b in breaks]
    return sorted(pauses, key=lambda pause: pause[0] - pause[1])


def _before_rises(scores: NDArray[np.float32], sound: Sound) -> list[int]:
    """Where each but the first phrase begins: the quietest place since the one before it."""
    up = scores >= THRESHOLD
    rises = np.flatnonzero(up[1:] & ~up[:-1]) + 1
    levels = np.convolve(_levels(sound), np.ones(5), 'same')
    places = []
    for last, rise in pairwise(rises):
        low, high = last * _FRAME, rise * _FRAME - round(SPOKEN_S * RATE)
        if high - low > _FRAME:
            span = levels[low // _BLOCK:high // _BLOCK]
            places.append(int(low // _BLOCK + np.argmin(span)) * _BLOCK)
    return places


def _levels(sound: Sound) -> NDArray[np.float32]:
    blocks = sound[:sound.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    return np.asarray(np.max(np.abs(blocks), axis=1), np.float32)


def _scores(word: str, engine: Any, sound: Sound) -> NDArray[np.float32]:
    return heard(word, engine, join(sound, 0.3), 0.0, 1e9)[1]


def heard(word: str, engine: Any, sound: Sound, first_s: float, last_s: float) \
        -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What the check is given and the model's score in each frame from one second to another."""
    engine.reset()
    samples = float_to_int16(sound)
    features, scores = [], []
    for end in range(_FRAME, samples.size + 1, _FRAME):
        score = engine.score(samples[end - _FRAME:end])[word]
        if first_s <= end / RATE <= last_s:
            scores.append(score)
            features.append(engine.features(word).ravel().astype(np.float16))
    return np.stack(features), np.asarray(scores, np.float32)
