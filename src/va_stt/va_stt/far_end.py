# SPDX-License-Identifier: Apache-2.0
"""What the speaker plays, kept by play time, so that AEC3 gets it aligned with the microphone."""

from __future__ import annotations

from dataclasses import dataclass
import math
import threading

import numpy as np

from va_common.sample_clock import SampleClock
from va_stt.blocks import Int16
from va_stt.fractional import Float32, interpolate

RATE = 16000
LEAD_S = 0.04
"""How far the reference runs ahead of the microphone.

Reported latencies are off by some milliseconds; AEC3 can cancel an echo that comes after its
reference, never one that comes before it."""
KEEP_S = 3.0
JITTER_S = 0.002
"""A chunk that begins within this of the end of the last one continues it without a seam; one that
is farther off comes after an underrun. tts has taken the jitter of its device out of the times."""
SLIP_SAMPLES = 32
"""A read position that is off by more than this (2 ms) jumps; below it glides."""
GLIDE = 0.02
PACE_PULL = 0.02
MAX_SKEW = 0.003
"""Blocks that are further apart than this from nominal do not follow each other."""
AFTERGLOW_S = 0.2
LOUD = 100.0
"""RMS of int16 samples (-50 dBFS) from which the reference counts as sound."""


@dataclass
class _Stretch:
    """Samples played without a gap; the clock counts up to their end."""

    samples: Float32
    clock: SampleClock

    @property
    def end_s(self) -> float:
        return self.clock.next_s

    def place(self, at_s: float) -> float:
        """Where in the samples a play time is."""
        return len(self.samples) - (self.end_s - at_s) * RATE / (1.0 + self.clock.skew)


class FarEnd:
    """Buffer of reference chunks by play time. Thread-safe.

    Stamps of successive chunks jitter and drift (the speaker has a clock of its own). Chunks
    that follow each other are joined into one stretch, counted by a :class:`SampleClock`, and
    reading glides along the stretch with fractional steps, so neither jitter nor drift makes a
    click that an echo canceller would have to relearn.
    """

    def __init__(self, lead_s: float = LEAD_S) -> None:
        self._lead_s = lead_s
        self._lock = threading.Lock()
        self._stretches: list[_Stretch] = []
        self._cursor: float | None = None
        self._cursor_stretch: _Stretch | None = None
        self._pace = 1.0
        """Seconds that pass in a nominal second of the microphone."""
        self._read_s = 0.0
        self._loud_s = 0.0
        self._anew_s = -math.inf
        self.chunks = 0
        """Chunks so far."""
        self.late_chunks = 0
        """Chunks whose play time had been read already, in whole or in part."""

    def add(self, samples: Int16, start_s: float, anew: bool = False) -> None:
        """Store a chunk.

        Args:
            samples: shape (n,), int16, 16 kHz.
            start_s: play time of the first sample, Unix seconds.
            anew: chunks before it were lost, or were not heard when they were to be.
        """
        sound = samples.astype(np.float32)
        with self._lock:
            self.chunks += 1
            if anew:
                self._anew_s = start_s
            if start_s < self._read_s:
                self.late_chunks += 1
            last = self._stretches[-1] if self._stretches else None
            if last is None or abs(start_s - last.end_s) > JITTER_S:
                self._cut_after(start_s)
                last = _Stretch(np.zeros(0, np.float32), _clock_after(last, start_s))
                self._stretches.append(last)
            else:
                last.clock.take(start_s)
            last.samples = np.concatenate([last.samples, sound])
            last.clock.advance(len(sound))
            self._forget_before(self._stretches[-1].end_s - 4 * KEEP_S)

    def read(self, start_s: float, count: int) -> Int16:
        """What played while a block of the microphone was captured, ahead by the lead.

        Args:
            start_s: capture time of the block's first sample, Unix seconds.
            count: samples wanted.

        Returns:
            Shape (count,), int16; silence where nothing is known to have played.
        """
        with self._lock:
            at_s = start_s + self._lead_s
            self._follow_pace(at_s + count / RATE - self._read_s, count / RATE)
            self._read_s = at_s + count / RATE
            sound = self._glide(at_s, count)
            self._forget_before(at_s - KEEP_S)
            if float(np.sqrt(np.mean(np.square(sound)))) > LOUD:
                self._loud_s = start_s + count / RATE
        return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)

    def covers(self, end_s: float) -> bool:
        """Whether the reference of a block that ends at ``end_s`` is complete.

        True too when nothing plays: the last chunk ended a while before.
        """
        with self._lock:
            if not self._stretches:
                return True
            known_s = self._stretches[-1].end_s
            wanted_s = end_s + self._lead_s
            return known_s >= wanted_s or known_s < wanted_s - AFTERGLOW_S

    def is_silent(self, from_s: float) -> bool:
        """Whether nothing is known to play at ``from_s`` or later."""
        with self._lock:
            return not self._stretches or self._stretches[-1].end_s < from_s

    def anew_s(self, at_s: float) -> float:
        """How long ago the reference began anew, in seconds; below 0: it is about to."""
        with self._lock:
            return at_s - self._anew_s

    def loud_since(self, at_s: float, within_s: float) -> bool:
        """Whether the reference had sound in the ``within_s`` before ``at_s``."""
        with self._lock:
            return self._loud_s > 0.0 and abs(at_s - self._loud_s) <= within_s

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._stretches.clear()
            self._cursor = self._cursor_stretch = None
            self._read_s = self._loud_s = 0.0
            self._anew_s = -math.inf
            self._pace = 1.0

    def _cut_after(self, start_s: float) -> None:
        """Drop what was announced for ``start_s`` and later: a newer chunk says otherwise."""
        kept = []
        for stretch in self._stretches:
            count = round(stretch.place(start_s))
            if count > 0:
                stretch.clock.advance(min(0, count - len(stretch.samples)))
                stretch.samples = stretch.samples[:count]
                kept.append(stretch)
        self._stretches = kept

    def _forget_before(self, limit_s: float) -> None:
        self._stretches = [s for s in self._stretches if s.end_s >= limit_s]
        for stretch in self._stretches:
            count = int(stretch.place(limit_s))
            if count > RATE:
                stretch.samples = stretch.samples[count:]
                if stretch is self._cursor_stretch and self._cursor is not None:
                    self._cursor -= count

    def _glide(self, at_s: float, count: int) -> Float32:
        stretch = next((s for s in self._stretches
                        if -count < s.place(at_s) < len(s.samples)), None)
        if stretch is None:
            self._cursor = self._cursor_stretch = None
            return np.zeros(count, np.float32)
        wanted = stretch.place(at_s)
        if self._cursor is None or self._cursor_stretch is not stretch \
                or abs(wanted - self._cursor) > SLIP_SAMPLES:
            self._cursor, self._cursor_stretch = float(round(wanted)), stretch
        step = self._pace / (1.0 + stretch.clock.skew) + GLIDE * (wanted - self._cursor) / count
        positions = self._cursor + step * np.arange(count, dtype=np.float64)
        self._cursor += step * count
        return interpolate(stretch.samples, positions)

    def _follow_pace(self, passed_s: float, nominal_s: float) -> None:
        """Learn how fast the microphone's clock runs, from the times of successive blocks."""
        pace = passed_s / nominal_s
        if abs(pace - 1.0) < MAX_SKEW:
            self._pace += PACE_PULL * (pace - self._pace)


def _clock_after(last: _Stretch | None, start_s: float) -> SampleClock:
    """The clock of a new stretch; the speaker's rate is what it was."""
    if last is None:
        return SampleClock(RATE, start_s)
    return SampleClock(RATE, start_s, last.clock.skew, last.clock.skew_deviation)
