# SPDX-License-Identifier: Apache-2.0
"""A speaker and a microphone in a room: delay, drift of their clocks, jitter, reverberation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import soxr
from virtual_room.acoustics import convolved, from_db

from hearing.chain import BLOCK, Chain, RATE, T0
from hearing.sounds import Sound
from va_common.audio_io import float_to_int16
from va_stt.blocks import Block
from va_stt.capture_clock import CaptureClock
from va_tts.play_clock import PlayClock

CHUNK = 1280
WARM_S = 60.0
"""The assistant has been on for so long: both devices run all the time."""
WARM_BLOCKS = round(WARM_S * RATE / BLOCK)
AHEAD_S = (0.02, 0.15)
"""How long before its play time tts announces a chunk; drawn anew for each."""


@dataclass(frozen=True)
class Echo:
    """How the speaker reaches the microphone."""

    response: Sound
    delay_s: float = 0.06
    gain_db: float = -8.0
    drift: float = 200e-6
    """How much faster the microphone's clock runs."""
    jitter_s: float = 0.003
    """Standard deviation of the times that both devices give with each block."""
    floor_dbfs: float = -75.0
    """Noise of the microphone."""


def at_microphone(far: Sound, echo: Echo, near: Sound | None = None, seed: int = 1) \
        -> NDArray[np.int16]:
    """What the microphone captures, by its own clock, int16."""
    delay = np.zeros(round(echo.delay_s * RATE), np.float32)
    sound = np.concatenate([delay, convolved(far, echo.response)])[:far.size]
    sound = sound * from_db(echo.gain_db) + (0.0 if near is None else near)
    floor = np.random.default_rng(seed).standard_normal(far.size)
    sound = sound + floor * from_db(echo.floor_dbfs)
    return float_to_int16(soxr.resample(sound, RATE, RATE * (1.0 + echo.drift)))


def play(chain: Chain, far: Sound, echo: Echo, near: Sound | None = None, seed: int = 1) \
        -> NDArray[np.int16]:
    """Let a chain hear a room in which ``far`` is played and ``near`` is said.

    The reference comes as tts sends it: chunk by chunk while there is sound, each 20 to 150 ms
    ahead of its play time, which tts has from the times of its device; what the microphone heard
    is returned.
    """
    random = np.random.default_rng(seed)
    heard = at_microphone(far, echo, near, seed)
    reference, sent = float_to_int16(far), 0
    played_s = play_times(reference.size, echo.jitter_s, random)
    captured_s = capture_times(heard.size, echo, random)
    for number, start_s in enumerate(captured_s):
        now_s = number * BLOCK / (RATE * (1.0 + echo.drift))
        while sent < reference.size and sent / RATE - random.uniform(*AHEAD_S) < now_s:
            chunk = reference[sent:sent + CHUNK]
            if chunk.any():
                chain.far_end.add(chunk, played_s[sent // BLOCK])
            sent += CHUNK
        chain.feed(Block(heard[number * BLOCK:(number + 1) * BLOCK], start_s))
    return heard


def play_times(samples: int, jitter_s: float, random: np.random.Generator) -> list[float]:
    """Of each block, by tts's clock, from what a jittery device says."""
    clock, latency_s = PlayClock(RATE, 0.03), 0.03
    times = []
    for number in range(-WARM_BLOCKS, samples // BLOCK + 1):
        stream_s = WARM_S + number * BLOCK / RATE
        dac_s = stream_s + max(0.002, latency_s + random.normal(0, jitter_s))
        times.append(clock.block(BLOCK, T0 - WARM_S + stream_s, stream_s, dac_s) - latency_s)
    return times[WARM_BLOCKS:]


def capture_times(samples: int, echo: Echo, random: np.random.Generator) -> list[float]:
    """Of each block, by stt's clock."""
    clock = CaptureClock(RATE)
    times = [clock.stamp(T0 + number * BLOCK / (RATE * (1.0 + echo.drift))
                         + random.normal(0, echo.jitter_s), BLOCK)
             for number in range(-WARM_BLOCKS, samples // BLOCK)]
    return times[WARM_BLOCKS:]
