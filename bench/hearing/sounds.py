# SPDX-License-Identifier: Apache-2.0
"""Sounds of the measurements: voices, rooms, noises, music; float32, mono, 16 kHz."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import soundfile
import soxr
from virtual_room.acoustics import (
    convolved,
    from_db,
    pink_noise,
    prepared_rir,
    speech_level_dbfs,
    synthetic_rir,
    voiced_span,
)
from virtual_room.voices import Voices

RATE = 16000
EVENTS = ('knocks', 'clicks', 'coughs')
Sound = NDArray[np.float32]


class Sounds:
    """Where every sound comes from.

    Args:
        recordings: folder of recordings of people, rooms and noises; None: generated ones only.
        tell: gets a line for each sentence that has to be synthesised.
    """

    def __init__(self, recordings: Path | None = None,
                 tell: Callable[[str], None] = lambda _: None) -> None:
        self.recordings = recordings
        self._voices = Voices(tell=tell)

    def say(self, text: str, voice: str, level_dbfs: float = -26.0) -> Sound:
        """A sentence without silence around it, its voiced part at ``level_dbfs``."""
        return _spoken(self._voices.wav(text, voice), level_dbfs)

    def files(self, pattern: str) -> list[Path]:
        """Recordings of a pattern, ``wake/alexa/*``; none without a folder of them."""
        return sorted(self.recordings.glob(pattern)) if self.recordings else []

    def noises(self) -> dict[str, Sound]:
        """Recorded noises, RMS 1."""
        return {path.stem: read(path) / _rms(read(path)) for path in self.files('noise/*')}

    def rooms(self) -> dict[str, Sound]:
        """Impulse responses by name: generated ones, and recorded ones."""
        made = {
            'dry': synthetic_rir(31, RATE, rt60_s=0.12, direct_to_reverb_db=12.0),
            'living room': synthetic_rir(32, RATE, rt60_s=0.35, direct_to_reverb_db=6.0),
            'kitchen': synthetic_rir(33, RATE, rt60_s=0.55, direct_to_reverb_db=3.0),
            'hall': synthetic_rir(34, RATE, rt60_s=0.8, direct_to_reverb_db=0.0),
        }
        return made | {p.stem: prepared_rir(read(p)) for p in self.files('rooms/*')}


def read(path: Path) -> Sound:
    """A sound file as mono float32 at 16 kHz."""
    samples, rate = soundfile.read(path, dtype='float32', always_2d=True)
    mono = samples.mean(axis=1)
    return np.asarray(mono if rate == RATE else soxr.resample(mono, rate, RATE), np.float32)


@lru_cache(maxsize=1024)
def _spoken(path: Path, level_dbfs: float) -> Sound:
    sound = read(path)
    start, end = voiced_span(sound, RATE)
    return at_level(sound[max(0, start - 160):end + 160], level_dbfs)


def at_level(sound: Sound, level_dbfs: float) -> Sound:
    """The sound with its voiced part at a level."""
    gain = from_db(level_dbfs - speech_level_dbfs(sound, RATE))
    return np.asarray(sound * gain, np.float32)


def silence(seconds: float) -> Sound:
    """Digital silence."""
    return np.zeros(round(seconds * RATE), np.float32)


def join(*parts: Sound | float) -> Sound:
    """Sounds one after another; a number is so many seconds of silence."""
    return np.concatenate([silence(p) if isinstance(p, (int, float)) else p for p in parts])


def in_room(sound: Sound, response: Sound) -> Sound:
    """The sound in a room, as long as before, its direct path at its place."""
    return convolved(sound, response)[:sound.size]


def with_noise(sound: Sound, level_dbfs: float, seed: int, noise: Sound | None = None) -> Sound:
    """The sound with noise (pink if none is given, else of RMS 1) at a level over all of it."""
    if noise is None:
        noise = pink_noise(10.0, RATE, seed)
    start = int(np.random.default_rng(seed).integers(noise.size))
    loop = noise[(start + np.arange(sound.size)) % noise.size]
    return np.asarray(sound + from_db(level_dbfs) * loop, np.float32)


def music(seconds: float, seed: int) -> Sound:
    """Made-up music, RMS -24 dBFS: chords, a bass and a drum, in a random key and speed."""
    random = np.random.default_rng(seed)
    beat = round(60.0 / random.uniform(70, 140) * RATE)
    out = np.zeros(round(seconds * RATE) + 4 * beat, np.float32)
    key = random.integers(45, 57)
    for number, first in enumerate(range(0, round(seconds * RATE), beat)):
        root = key + (0, 5, 7, 9)[(number // 4) % 4]
        for note in (root, root + 4, root + 7, root + 12 + random.choice((0, 2, 4, 7))):
            _add(out, first, 0.2 * _pluck(440 * 2 ** ((note - 69) / 12), 3 * beat, random))
        _add(out, first, 0.4 * _pluck(440 * 2 ** ((root - 93) / 12), 2 * beat, random))
        drum = random.standard_normal(2000) * np.exp(-np.arange(2000) / 300)
        _add(out, first, (0.25 if number % 2 else 0.1) * drum)
    out = out[:round(seconds * RATE)]
    return np.asarray(out * from_db(-24.0) / _rms(out), np.float32)


def _pluck(hz: float, count: int, random: np.random.Generator) -> NDArray[np.floating[Any]]:
    time = np.arange(count) / RATE
    tone = np.zeros(count)
    for harmonic in range(1, 7):
        if harmonic * hz < 7000:
            phase = random.uniform(0, 2 * np.pi)
            tone += np.sin(2 * np.pi * harmonic * hz * time + phase) / harmonic
    return tone * np.exp(-3.0 * time) * np.minimum(1.0, time / 0.005)


def _add(out: Sound, first: int, part: NDArray[np.floating[Any]]) -> None:
    end = min(out.size, first + part.size)
    out[first:end] += part[:end - first].astype(np.float32)


def _rms(sound: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-12


def background(kind: str, seconds: float, seed: int) -> Sound:
    """A sound in which nobody speaks.

    Args:
        kind: quiet, white, pink, hum, fan, knocks, coughs, clicks or music.
        seconds: its length.
        seed: of everything random.
    """
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    floor = random.standard_normal(count) * 2e-4
    if kind == 'quiet':
        return np.asarray(floor, np.float32)
    if kind == 'white':
        return np.asarray(random.standard_normal(count) * from_db(-35.0), np.float32)
    if kind == 'pink':
        return with_noise(np.asarray(floor, np.float32), -30.0, seed)
    if kind == 'hum':
        tone = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5))
        return np.asarray(floor + from_db(-30.0) * tone, np.float32)
    if kind == 'fan':
        sway = 1.0 + 0.3 * np.sin(2 * np.pi * 0.7 * time)
        air = with_noise(np.asarray(floor, np.float32), -34.0, seed)
        return np.asarray(air * sway, np.float32)
    if kind == 'music':
        return np.asarray(floor + music(seconds, seed), np.float32)
    if kind not in EVENTS:
        raise ValueError(f'background {kind!r}: expected quiet, white, pink, hum, fan, music, '
                         f'{", ".join(EVENTS)}')
    return _events(kind, np.asarray(floor, np.float32), random)


def _events(kind: str, out: Sound, random: np.random.Generator) -> Sound:
    at = int(RATE * random.uniform(0.5, 2.0))
    while at < out.size - RATE:
        _add(out, at, event(kind, random))
        at += int(RATE * random.uniform(1.0, 4.0))
    return out


def event(kind: str, random: np.random.Generator) -> NDArray[np.floating[Any]]:
    """One knock, click or cough, peak about -10 dBFS.

    A cough is made of a burst and a breath: noise through two formants of a throat.
    """
    if kind == 'clicks':
        return 0.3 * random.standard_normal(60) * np.exp(-np.arange(60) / 12)
    if kind == 'knocks':
        count = 2400
        time = np.arange(count) / RATE
        tone = np.sin(2 * np.pi * random.uniform(90, 300) * time)
        return 0.3 * (tone + 0.3 * random.standard_normal(count)) * np.exp(-40 * time)
    count = int(RATE * random.uniform(0.25, 0.45))
    time = np.arange(count) / RATE
    shape = np.minimum(1, time / 0.008) * (np.exp(-18 * time) + 0.25 * np.exp(-6 * time))
    noise = random.standard_normal(count)
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(count, 1 / RATE)
    throat = sum(1.0 / (1.0 + ((hz - f) / 250.0) ** 2)
                 for f in (random.uniform(500, 800), random.uniform(1200, 1700)))
    rough = np.fft.irfft(spectrum * throat, count)
    return 0.25 * shape * rough / (np.abs(rough).max() + 1e-9)
