# SPDX-License-Identifier: Apache-2.0
"""Where the examples of the second look at a wake are heard: rooms, microphones, noises."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
import soxr
from virtual_room.acoustics import synthetic_rir

from hearing.sounds import background, in_room, join, RATE, Sound, with_noise

AFTER_S = 0.45
"""How long after its end a text may still raise the score."""


def scene(piece: Sound, other: Sound, chance: np.random.Generator) -> tuple[Sound, float, float]:
    """A text in a place, and between which seconds of it the text is heard."""
    speed = chance.uniform(0.86, 1.16)
    clip = _tilted(soxr.resample(piece, RATE, RATE / speed), chance.uniform(-0.6, 0.6))
    before: Sound | float = other if chance.random() < 0.3 else 0.4
    after: Sound | float = other if chance.random() < 0.2 else 0.5
    lead = join(0.3, before, float(chance.choice((0.0, 0.05, 0.2, 0.5))))
    sound = join(lead, clip, float(chance.uniform(0.02, 0.3)), after)
    sound = np.asarray(sound * 10 ** chance.uniform(-0.8, 0.3), np.float32)
    if chance.random() < 0.6:
        sound = in_room(sound, _room(int(chance.integers(40))))
    span = lead.size / RATE, (lead.size + clip.size) / RATE + AFTER_S
    return _noisy(sound, chance), *span


def _noisy(sound: Sound, chance: np.random.Generator) -> Sound:
    kind = chance.choice(('none', 'pink', 'white', 'fan', 'music', 'hum'),
                         p=(0.35, 0.25, 0.1, 0.1, 0.1, 0.1))
    seed = int(chance.integers(20))
    if kind == 'none':
        return with_noise(sound, -72.0, seed)
    noise = _background(str(kind), seed)
    return with_noise(sound, float(chance.uniform(-58.0, -36.0)), seed, noise)


@lru_cache(maxsize=64)
def _room(number: int) -> Sound:
    rt60_s = 0.12 + 0.015 * number
    return synthetic_rir(1000 + number, RATE, rt60_s=rt60_s,
                         direct_to_reverb_db=10.0 - 0.25 * number)


@lru_cache(maxsize=128)
def _background(kind: str, seed: int) -> Sound:
    sound = background(kind, 5.0, 500 + seed)
    return np.asarray(sound / np.sqrt(np.mean(np.square(sound))), np.float32)


def _tilted(sound: NDArray[Any], tilt: float) -> Sound:
    """Through a microphone that is dull (below 0) or sharp: a first-order filter, same level."""
    out = sound + tilt * np.concatenate(([0.0], -sound[:-1] if tilt > 0 else sound[:-1])) \
        * np.sign(tilt)
    power = np.mean(np.square(sound)) / (np.mean(np.square(out)) + 1e-12)
    return np.asarray(out * np.sqrt(power), np.float32)
