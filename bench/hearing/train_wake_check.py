# SPDX-License-Identifier: Apache-2.0
"""Makes ``va_kwd/data/WORD_check.npz``: tells a wake word's phrase from what sounds like it.

openWakeWord's model takes many a bare "jarvis" or "hey marvin" for its phrase. This trains a small
network on the very features that the model is given (16 frames of 96), of voices of Kokoro and of
espeak-ng and of texts that are in none of the measurements. It is measured on voices and texts
that it was not trained on, in four parts; the part of the phrases that it keeps there sets its
threshold.

In ``bench/``, in the private environment:

    PYTHONPATH=../tests python -m hearing.train_wake_check hey_jarvis
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
import sys
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from virtual_room.voices import Voices

from hearing.chain import Engines, THRESHOLD
from hearing.check_examples import Example, examples, HALF
from hearing.check_mining import Mine
from va_kwd.wake_check import CHECKS

RECALL = 0.97
"""Share of the phrases of unknown voices, of those that wake the model alone, that pass."""
HIDDEN = 32
EPOCHS = 20
BATCH = 256
RATE, DECAY, DROP = 1e-3, 0.02, 0.5
"""Of Adam: step, decoupled weight decay, and share of inputs left out (Loshchilov 2019)."""
PARTS = 4
MODELS = 2
"""Networks with different beginnings, put side by side as one."""
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """``tanh(x @ hidden + hidden_bias) @ out + bias``."""

    hidden: Float
    hidden_bias: Float
    out: Float
    bias: float

    def margin(self, x: Float) -> Float:
        """Above 0: the whole phrase; x is (examples, inputs)."""
        return np.asarray(np.tanh(x @ self.hidden + self.hidden_bias) @ self.out + self.bias,
                          np.float32)


def fit(x: Float, y: Float, weight: Float, seed: int) -> Network:
    """Train one network with Adam (Kingma and Ba 2015).

    Args:
        x: (n, inputs). y: (n,), 1 for the phrase and 0 for others. weight: (n,), mean 1.
        seed: of its beginning.
    """
    chance = np.random.default_rng(seed)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 0.05
    begun = [chance.normal(0, x.shape[1] ** -0.5, (x.shape[1], HIDDEN)), np.zeros(HIDDEN),
               chance.normal(0, HIDDEN ** -0.5, HIDDEN), np.zeros(1)]
    weights: list[Float] = [w.astype(np.float32) for w in begun]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    steps = EPOCHS * (len(x) // BATCH)
    for step in range(1, steps + 1):
        pick = chance.integers(len(x), size=BATCH)
        given = (x[pick] - mean) / scale
        given *= (chance.random(given.shape, np.float32) > DROP) / np.float32(1 - DROP)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        for number, pull in enumerate(_gradients(weights, given, y[pick], weight[pick])):
            first[number] += 0.1 * (pull - first[number])
            second[number] += 0.001 * (pull ** 2 - second[number])
            move = first[number] / (1 - 0.9 ** step)
            move /= np.sqrt(second[number] / (1 - 0.999 ** step)) + 1e-8
            weights[number] -= rate * (move + DECAY * weights[number] * (weights[number].ndim > 1))
    hidden = weights[0] / scale[:, None]
    return Network(hidden, weights[1] - mean @ hidden, weights[2], float(weights[3][0]))


def _gradients(weights: list[Float], x: Float, y: Float, weight: Float) -> list[Float]:
    """Of the mean cross entropy, for hidden, its bias, out, its bias."""
    inner = np.tanh(x @ weights[0] + weights[1])
    margin = inner @ weights[2] + weights[3]
    pull = weight * (1 / (1 + np.exp(-np.clip(margin, -30, 30))) - y) / len(x)
    back = np.outer(pull, weights[2]) * (1 - inner ** 2)
    return [x.T @ back, back.sum(axis=0), inner.T @ pull, pull.sum(keepdims=True)]


def together(networks: list[Network]) -> Network:
    """The mean of several networks as one."""
    return Network(np.concatenate([n.hidden for n in networks], axis=1),
                   np.concatenate([n.hidden_bias for n in networks]),
                   np.concatenate([n.out for n in networks]) / np.float32(len(networks)),
                   float(np.mean([n.bias for n in networks])))


def train(found: list[Example]) -> Network:
    """Networks on these examples.

    Each example of a kind weighs the same, and so does each of the four kinds: the phrase and
    near misses, by Kokoro and by espeak-ng.
    """
    x = np.concatenate([e.features for e in found]).astype(np.float32)
    y = np.concatenate([np.full(len(e.scores), e.whole, np.float32) for e in found])
    kinds = Counter((e.whole, e.machine) for e in found)
    weight = np.concatenate([np.full(len(e.scores), 1 / len(e.scores) / kinds[e.whole, e.machine])
                             for e in found])
    weight = (weight / weight.mean()).astype(np.float32)
    return together([fit(x, y, weight, seed) for seed in range(MODELS)])


def held_out(found: list[Example]) -> list[tuple[Example, float]]:
    """Examples that would wake, each with its best margin by networks that do not know it.

    They know neither its voice nor, of a near miss, its text; but for the half of the phrase,
    which is one text.
    """
    judged = []
    for part in range(PARTS):
        network = train([e for e in found if _part(e.voice) != part and not _hidden(e, part)])
        for example in found:
            may_wake = example.scores >= THRESHOLD
            unknown = example.whole or example.text == HALF or _hidden(example, part)
            if _part(example.voice) == part and unknown and may_wake.any():
                x = example.features[may_wake].astype(np.float32)
                judged.append((example, float(network.margin(x).max())))
    return judged


def _hidden(example: Example, part: int) -> bool:
    """Whether a text is kept from the networks of a part."""
    return not example.whole and example.text != HALF and _part(example.text) == part


def _part(text: str) -> int:
    return crc32(text.split('+')[0].encode()) % PARTS


def threshold(judged: list[tuple[Example, float]]) -> float:
    """The margin that :data:`RECALL` of Kokoro's held-out phrases reach; tells what it does."""
    kinds = {kind: np.array([margin for e, margin in judged if (e.whole, e.machine) == kind])
             for kind in sorted({(e.whole, e.machine) for e, _ in judged})}
    limit = min(0.0, float(np.quantile(kinds[True, False], 1 - RECALL)))
    for (whole, machine), margins in kinds.items():
        print(f'held out: of {margins.size} {"phrases" if whole else "near misses"} by '
              f'{"espeak-ng" if machine else "Kokoro"} {np.mean(margins >= limit):.4f} pass '
              f'(margin {limit:.2f})')
    for text in sorted({e.text for e, margin in judged if not e.whole and margin >= limit}):
        print(f'  passes: {text}')
    return limit


def main() -> None:
    """Train, measure and write the check of the word on the command line."""
    word = sys.argv[1]
    models = Engines()
    found = [*examples(word, models, Voices(tell=print)), *Mine(word, models).examples()]
    limit = threshold(held_out(found))
    network = train(found)
    path = Path(CHECKS) / f'{word}_check.npz'
    np.savez_compressed(
        path, hidden=network.hidden.astype(np.float16), hidden_bias=network.hidden_bias,
        out=network.out, bias=np.float32(network.bias - limit))
    print(f'{len(found)} examples: {path}')


if __name__ == '__main__':
    main()
