# SPDX-License-Identifier: Apache-2.0
"""How much of the speaker's sound is taken out of the microphone: ``erle_db``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearing.chain import Chain, Engines, RATE
from hearing.room import Echo, play
from hearing.sounds import join, Sound, Sounds
from hearing.texts import ASSISTANT, REPLIES

DELAYS_S = (0.02, 0.06, 0.15, 0.3)
WINDOW = 1600
"""100 ms: about a syllable."""
ACTIVE_DBFS = -50.0
"""Windows in which the echo alone is louder than this count."""
START_S = 3.0


def replies(sounds: Sounds, count: int = 5, pause_s: float = 0.4) -> Sound:
    """What the assistant says, one reply after another."""
    parts: list[Sound | float] = [0.5]
    for text in REPLIES[:count]:
        parts += [sounds.say(text, ASSISTANT, -20.0), pause_s]
    return join(*parts, 0.5)


def window_erle_db(heard: NDArray[np.int16], clean: NDArray[np.int16]) -> NDArray[np.float64]:
    """Echo return loss enhancement of each 100 ms in which the echo is heard, NaN in the others.

    10·log10(mean d² / mean e²), d before and e after the canceller (ITU-T G.168); both int16
    (n,), aligned.
    """
    count = min(heard.size, clean.size) // WINDOW
    before, after = (
        np.mean(np.square(x[:count * WINDOW].reshape(count, WINDOW).astype(np.float64)), axis=1)
        for x in (heard, clean))
    loud = before > (32768 * 10 ** (ACTIVE_DBFS / 20)) ** 2
    return np.where(loud, 10.0 * np.log10(before / np.maximum(after, 1e-3)), np.nan)


def measure(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """ERLE of every room at every delay, drift 200 ppm, jitter 3 ms."""
    far = replies(sounds, 2 if quick else 5)
    delays_s = DELAYS_S[1:3] if quick else DELAYS_S
    rooms: dict[str, dict[str, float]] = {}
    for name, response in sounds.rooms().items():
        values, first = [], []
        for number, delay_s in enumerate(delays_s):
            chain = Chain(models, transcribe=_no_text)
            heard = play(chain, far, Echo(response, delay_s), seed=number)
            erle_db = window_erle_db(heard, chain.clean_sound())
            values.append(erle_db)
            first.append(erle_db[:round(START_S * RATE / WINDOW)])
        rooms[name] = {'median': _median(values), 'first_3_s': _median(first),
                       **{f'{d * 1000:.0f} ms': _median([v])
                          for d, v in zip(delays_s, values, strict=True)}}
    return {'erle_db': {name: value['median'] for name, value in rooms.items()},
            'erle_db_worst_room': min(value['median'] for value in rooms.values()),
            'erle_detail': rooms}


def _median(values: list[NDArray[np.float64]]) -> float:
    return round(float(np.nanmedian(np.concatenate(values))), 1)


def _no_text(samples: NDArray[np.int16]) -> None:
    raise AssertionError('nobody listens here')
