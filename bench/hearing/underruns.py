# SPDX-License-Identifier: Apache-2.0
"""``underruns``: the speaker runs out of sound in an answer, which goes on a little later.

tts' own objects (line, play clock, reference) run on a simulated device, so that the canceller
gets what the product would tell it: sound announced ahead that is then heard later, and times of
the device that are wrong at first, as those of PulseAudio were measured to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearing.chain import BLOCK, Chain, Engines, RATE, setting, T0
from hearing.echo import replies, window_erle_db
from hearing.room import at_microphone, capture_times, Echo, WARM_BLOCKS, WARM_S
from hearing.sounds import Sound, Sounds
from va_stt.blocks import Block
from va_stt.turn_events import Kind
from va_tts.play_clock import PlayClock
from va_tts.playout import FarEnd, Playout, Report
from va_tts.reference import Reference

EVERY_S = 7.0
GAPS_S = (0.01, 0.15)
"""How long it is silent; drawn anew for each."""
WRONG_S = 0.006
WRONG_FOR_S = 0.5
"""By how much, and how long (to 1/e), the times are wrong afterwards."""
LATENCY_S = 0.06
DELIVERY_S = (0.002, 0.04)
"""From call-back to echo canceller."""
JUDGED_S = (1.0, 4.0)
"""After each underrun, for the ERLE: sooner there is hardly sound, later it is as without."""


@dataclass
class Played:
    """What a device with underruns did."""

    air: Sound
    """What is heard of it, float (n,) at 16 kHz."""
    told: list[tuple[float, NDArray[np.int16], float, bool]]
    """The reference: when it arrives (seconds of ``air``), and what ``FarEnd.add`` takes."""
    gaps_s: list[float]
    """Where in ``air`` the underruns began."""


def play(far: Sound, jitter_s: float, random: np.random.Generator) -> Played:
    """Let tts' own objects play ``far`` on a device that runs dry every seven seconds."""
    told: list[tuple[float, NDArray[np.int16], float, bool]] = []
    now_s = 0.0

    def publish(samples: NDArray[np.int16], start_s: float, anew: bool) -> None:
        told.append((now_s + random.uniform(*DELIVERY_S), samples, start_s - LATENCY_S, anew))

    def listen(report: Report) -> None:
        if isinstance(report, FarEnd):
            reference.push(report.samples, report.start_s, report.anew)

    reference, clock, line = Reference(RATE, publish), PlayClock(RATE, LATENCY_S), \
        Playout(RATE, listen)
    air: list[Sound] = []
    gaps_s: list[float] = []
    late_s, wrong_s, next_s = 0.0, 0.0, EVERY_S
    for number in range(-WARM_BLOCKS, far.size // BLOCK + 1):
        if number == 0:
            line.add(1, 0, far.astype(np.float32))
        if number * BLOCK / RATE > next_s:
            gap = round(random.uniform(*GAPS_S) * RATE)
            gaps_s.append(sum(part.size for part in air) / RATE)
            air.append(np.zeros(gap, np.float32))
            late_s, wrong_s, next_s = late_s + gap / RATE, random.choice((-1, 1)) * WRONG_S, \
                next_s + EVERY_S
        now_s = number * BLOCK / RATE + late_s
        wrong_s *= 1.0 - BLOCK / RATE / WRONG_FOR_S
        stream_s = WARM_S + now_s
        dac_s = stream_s + max(0.002, LATENCY_S + wrong_s + random.normal(0, jitter_s))
        block = np.zeros(BLOCK, np.float32)
        line.fill(block, clock.block(BLOCK, T0 + now_s, stream_s, dac_s))
        if number >= 0:
            air.append(block)
    reference.flush()
    return Played(np.concatenate(air), told, gaps_s)


@dataclass
class Heard:
    """What came of it."""

    underruns: int
    held: int
    """How often the answer was taken for a person."""
    stopped: int
    """How often with words."""
    erle_db: list[NDArray[np.float64]]
    """After each underrun, by 0.1 s."""


def measure(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """ERLE after an underrun, and how often one was taken for a person, in each room."""
    far = replies(sounds, 2 if quick else 5)
    rooms = list(sounds.rooms().values())[:2 if quick else None]
    heard = [hear(models, far, Echo(room), seed) for seed, room in enumerate(rooms)]
    erle_db = np.concatenate([part for one in heard for part in one.erle_db])
    return {'underruns': {
        'count': sum(one.underruns for one in heard), 'held': sum(one.held for one in heard),
        'stopped': sum(one.stopped for one in heard),
        'erle_db': round(float(np.nanmedian(erle_db)), 1)}}


def hear(models: Engines, far: Sound, echo: Echo, seed: int) -> Heard:
    """Play ``far`` with underruns in a room and listen over it."""
    random = np.random.default_rng(seed)
    chain, played = Chain(models), play(far, echo.jitter_s, random)
    heard, held, stopped = _listen(chain, played, echo, random, seed)
    erle_db = window_erle_db(heard, chain.clean_sound())
    return Heard(len(played.gaps_s), held, stopped, _after(erle_db, played.gaps_s))


def _listen(chain: Chain, played: Played, echo: Echo, random: np.random.Generator, seed: int) \
        -> tuple[NDArray[np.int16], int, int]:
    heard = at_microphone(played.air, echo, seed=seed)
    waiting = sorted(played.told, key=lambda each: each[0])
    alarms = texts = 0
    chain.listen(over_playback=True, no_speech_timeout_s=1e6,
                 stop_phrases=setting('stop_phrases', 'loader'))
    for number, start_s in enumerate(capture_times(heard.size, echo, random)):
        now_s = number * BLOCK / (RATE * (1.0 + echo.drift))
        while waiting and waiting[0][0] < now_s:
            chain.far_end.add(*waiting.pop(0)[1:])
        chain.feed(Block(heard[number * BLOCK:(number + 1) * BLOCK], start_s))
        if chain.final is not None:
            alarms, texts = alarms + _begun(chain), texts + bool(chain.text)
            chain.listen(over_playback=True, no_speech_timeout_s=1e6,
                         stop_phrases=setting('stop_phrases', 'loader'))
    return heard, alarms + _begun(chain), texts


def _begun(chain: Chain) -> int:
    return sum(event.kind is Kind.STARTED for event in chain.events)


def _after(erle_db: NDArray[np.float64], gaps_s: list[float]) -> list[NDArray[np.float64]]:
    return [erle_db[round((gap_s + JUDGED_S[0]) * 10):round((gap_s + JUDGED_S[1]) * 10)]
            for gap_s in gaps_s]
