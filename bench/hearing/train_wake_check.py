# SPDX-License-Identifier: Apache-2.0
"""Makes ``va_kwd/data/hey_jarvis_check.npz``: tells "hey jarvis" from a bare "jarvis".

openWakeWord's model takes many a bare "jarvis" for the whole phrase. This trains a logistic
regression on the same embeddings (16 frames of 96), on Kokoro's voices that do not speak in the
measurements, each at three speeds, at random places to the frame, quiet and in rooms with noise.

    python -m hearing.train_wake_check   (in bench/, in the private environment)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
import soxr
from virtual_room.acoustics import synthetic_rir

from hearing.chain import Engines, RATE
from hearing.sounds import in_room, join, Sound, Sounds, with_noise
from hearing.texts import VOICES, WAKE_VOICES
from va_common.audio_io import float_to_int16
from va_common.model_catalogue import model_path
from va_kwd.wake_check import CHECKS, features_of

WHOLE, PART = 'Hey Jarvis.', 'Jarvis.'
SPEEDS = (0.9, 1.0, 1.12)
SCORES = {WHOLE: 0.6, PART: 0.3}
"""Frames from these scores on are examples."""
DECAY = 30.0
"""L2 penalty, over the examples."""


def training_voices() -> list[str]:
    """Every voice but the assistant's and those of the measurements."""
    kept_out = {*VOICES, *WAKE_VOICES, 'af_heart'}
    return sorted(p.stem for p in model_path('kokoro-voices').glob('*.bin')
                  if p.stem not in kept_out)


def examples(models: Engines, sounds: Sounds, text: str) -> NDArray[np.float32]:
    """Features (n, 16 * 96) of every frame in which the model nearly hears its word."""
    random = np.random.default_rng(len(text))
    _, engine = models.wake('hey_jarvis')
    found = []
    for voice in training_voices():
        for speed in SPEEDS:
            clip = soxr.resample(sounds.say(text, voice), RATE, RATE / speed).astype(np.float32)
            for noisy in (False, True):
                found += _run(engine, _scene(clip, random, noisy), SCORES[text])
    return np.stack(found)


def _scene(clip: Sound, random: np.random.Generator, noisy: bool) -> Sound:
    sound = join(0.7 + float(random.uniform(0, 0.08)), clip * random.uniform(0.3, 1.5), 0.3)
    if noisy:
        room = synthetic_rir(int(random.integers(1000, 2000)), RATE,
                             rt60_s=float(random.uniform(0.15, 0.6)))
        sound = in_room(sound, room)
    return with_noise(sound, float(random.uniform(-50, -38)) if noisy else -70.0,
                      int(random.integers(1 << 30)))


def _run(engine: Any, sound: Sound, least: float) -> list[NDArray[np.float32]]:
    engine.reset()
    samples = float_to_int16(sound)
    return [features_of(engine.features('hey_jarvis'))
            for first in range(0, samples.size - 1279, 1280)
            if engine.score(samples[first:first + 1280])['hey_jarvis'] >= least]


def fit(whole: NDArray[np.float32], part: NDArray[np.float32]) -> tuple[Any, float, Any, Any]:
    """Weights, bias, mean and scale of a logistic regression; both classes weigh the same."""
    x = np.concatenate([whole, part]).astype(np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    x = (x - mean) / scale
    y = np.concatenate([np.ones(len(whole)), -np.ones(len(part))])
    weight = np.where(y > 0, 0.5 / len(whole), 0.5 / len(part))

    def loss(p: Any) -> Any:
        margin = y * (x @ p[:-1] + p[-1])
        value = np.sum(weight * np.logaddexp(0, -margin)) + DECAY / len(x) * p[:-1] @ p[:-1]
        pull = -weight * y / (1 + np.exp(np.clip(margin, -50, 50)))
        return value, np.append(x.T @ pull + 2 * DECAY / len(x) * p[:-1], pull.sum())

    best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method='L-BFGS-B',
                    options={'maxiter': 300}).x
    return best[:-1], float(best[-1]), mean, scale


def main() -> None:
    """Train and write."""
    models, sounds = Engines(), Sounds(tell=print)
    whole, part = (examples(models, sounds, text) for text in (WHOLE, PART))
    weights, bias, mean, scale = fit(whole, part)
    path = Path(CHECKS) / 'hey_jarvis_check.npz'
    path.parent.mkdir(exist_ok=True)
    folded = weights / scale
    np.savez_compressed(path, weights=folded.astype(np.float32),
                        bias=np.float32(bias - folded @ mean))
    print(f'{len(whole)} frames with the whole phrase, {len(part)} without: {path}')


if __name__ == '__main__':
    main()
