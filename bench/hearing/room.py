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

CHUNK = 1280
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
    """Standard deviation of the stamps of both devices."""
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

    The reference comes as tts sends it, chunk by chunk while there is sound, a little ahead of
    its play time, with jitter in its stamps; what the microphone heard is returned.
    """
    random = np.random.default_rng(seed)
    heard = at_microphone(far, echo, near, seed)
    reference, clock, sent = float_to_int16(far), CaptureClock(RATE), 0
    for first in range(0, heard.size - BLOCK + 1, BLOCK):
        now_s = first / (RATE * (1.0 + echo.drift))
        while sent < reference.size and sent / RATE - random.uniform(*AHEAD_S) < now_s:
            chunk = reference[sent:sent + CHUNK]
            if chunk.any():
                stamp_s = T0 + sent / RATE + random.normal(0, echo.jitter_s)
                chain.far_end.add(chunk, stamp_s)
            sent += CHUNK
        start_s = clock.stamp(T0 + now_s + random.normal(0, echo.jitter_s), BLOCK)
        chain.feed(Block(heard[first:first + BLOCK], start_s))
    return heard
