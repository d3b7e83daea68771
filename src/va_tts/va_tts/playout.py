# SPDX-License-Identifier: Apache-2.0
"""The line of sound in front of the speaker: what a device call-back takes its blocks from."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from dataclasses import dataclass
import threading
from typing import Protocol

import numpy as np

from va_common.audio_io import Float32

FADE_S = 0.010
"""Ramp of a cut and of a change of volume: short, and no click."""
STEP_S = 0.010
"""A block that is heard so much later or earlier than the one before ends comes after an underrun,
or the device has mended its times: what was announced is announced again, at its new time."""
LOOK_AHEAD_S = 0.160
"""How much of what comes next is reported as far end: with two chunks of /tts/reference the
reference is at the echo canceller before the sound is in the air."""


@dataclass(frozen=True)
class Played:
    """Samples of one piece were handed to the device."""

    owner: int
    piece: int
    frames: int
    start_s: float
    """Unix time at which the first of them is heard."""


@dataclass(frozen=True)
class Dry:
    """The line ran empty: silence is heard from ``start_s`` on."""

    start_s: float
    held: bool = False
    """There is sound in the line, but it is held."""


@dataclass(frozen=True)
class FarEnd:
    """Sound that will be heard from ``start_s`` on, unless it is cut; float32 at device rate."""

    samples: Float32
    start_s: float
    anew: bool = False
    """The first after a step of the play times: what was reported before is heard elsewhere."""


Report = Played | Dry | FarEnd


class Listener(Protocol):
    """Takes reports, in the call-back's thread: it must not block."""

    def __call__(self, report: Report, /) -> None:
        """Take one report."""


@dataclass
class _Segment:
    owner: int
    piece: int
    samples: Float32
    used: int = 0

    @property
    def left(self) -> int:
        return len(self.samples) - self.used


class Playout:
    """A bounded line of segments, played one after another. Thread-safe.

    Args:
        rate: Hz of the device.
        listener: hears what happens.
    """

    def __init__(self, rate: int, listener: Listener) -> None:
        self.rate = rate
        self._listener = listener
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._line: deque[_Segment] = deque()
        self._ahead = 0
        self._gain = self._wanted_gain = np.float32(1.0)
        self._volume = self._ducked = 1.0
        self._held = False
        self._fading = 0
        self._sounding = False
        self._expected_s = 0.0
        self._stepped = False

    def add(self, owner: int, piece: int, samples: Float32) -> None:
        """Put a piece at the end of the line; float32 (n,) at the device's rate."""
        if not len(samples):
            return
        with self._lock:
            self._line.append(_Segment(owner, piece, samples))
            self._filled.notify_all()

    def cut(self, owners: Set[int]) -> None:
        """Take the segments of ``owners`` out; what sounds of them fades within 10 ms."""
        with self._lock:
            head = self._line[0] if self._line else None
            kept = [segment for segment in self._line if segment.owner not in owners]
            fading = 0
            if head is not None and head.owner in owners and head.used and not self._held:
                kept.insert(0, self._faded(head))
                fading = len(kept[0].samples)
            if len(kept) != len(self._line) or fading:
                # What was announced beyond the fade will not be heard; what follows is announced.
                self._ahead = min(self._ahead, fading)
            self._line = deque(kept)

    def set_gain(self, gain: float) -> None:
        """Change the volume (1: as synthesised), with a 10 ms ramp."""
        with self._lock:
            self._volume = gain
            self._want_gain()

    def duck(self, factor: float) -> None:
        """Lower what is heard to this part of the volume, 1: not at all; with a 10 ms ramp."""
        with self._lock:
            self._ducked = factor
            self._want_gain()

    def hold(self, held: bool) -> None:
        """Fade out within 10 ms and keep the line as it is; or go on with it."""
        with self._lock:
            if held and not self._held:
                self._fading = round(FADE_S * self.rate)
            self._held = held

    def _want_gain(self) -> None:
        gain = np.float32(self._volume * self._ducked)
        if gain != self._wanted_gain:
            self._wanted_gain = gain
            self._ahead = 0  # what was announced is announced again, as loud as it will be

    def buffered_s(self) -> float:
        """Seconds of sound in the line."""
        with self._lock:
            return sum(segment.left for segment in self._line) / self.rate

    def wait_for_sound(self, timeout_s: float) -> bool:
        """Wait until there is sound in the line."""
        with self._lock:
            return self._filled.wait_for(lambda: bool(self._line), timeout_s)

    def clear(self, rate: int) -> None:
        """Empty the line, for a device of another rate."""
        with self._lock:
            self._line.clear()
            self._ahead = 0
            self._held = False
            self._ducked = 1.0
            self._want_gain()
            self._sounding = False
            self.rate = rate

    def fill(self, out: Float32, start_s: float) -> None:
        """Write the next block; silence where the line is empty.

        Args:
            out: float32 (n,), is overwritten.
            start_s: Unix time at which ``out[0]`` is heard.
        """
        with self._lock:
            done = 0
            if abs(start_s - self._expected_s) > STEP_S and not self._held:
                self._stepped = self._ahead > 0
                self._ahead = 0
            self._expected_s = start_s + len(out) / self.rate
            end = min(len(out), self._fading) if self._held else len(out)
            self._fading = 0
            while done < end and self._line:
                done += self._take(out[:end], done, start_s)
            out[done:] = 0.0
            if done < len(out) and (done or self._sounding):
                held = self._held and bool(self._line)
                self._listener(Dry(start_s + done / self.rate, held))
            self._sounding = done == len(out)
            self._scale(out[:done], np.float32(0.0) if self._held else self._wanted_gain)
            if self._held:
                self._withdraw(start_s + done / self.rate)
            else:
                self._announce(start_s + done / self.rate)

    def _take(self, out: Float32, done: int, start_s: float) -> int:
        segment = self._line[0]
        count = min(len(out) - done, segment.left)
        begin_s = start_s + done / self.rate
        if self._ahead < count:
            # Not announced yet: it has just been added, or a cut came before.
            late = segment.samples[segment.used + self._ahead:segment.used + count]
            self._report_far_end(late, begin_s + self._ahead / self.rate)
        self._ahead = max(0, self._ahead - count)
        out[done:done + count] = segment.samples[segment.used:segment.used + count]
        segment.used += count
        if not segment.left:
            self._line.popleft()
        self._listener(Played(segment.owner, segment.piece, count, begin_s))
        return count

    def _announce(self, next_s: float) -> None:
        """Report what follows as far end, up to ``LOOK_AHEAD_S`` beyond what was handed over."""
        goal = round(LOOK_AHEAD_S * self.rate)
        position = 0
        for segment in self._line:
            if self._ahead >= goal:
                return
            skip = max(0, self._ahead - position)
            part = segment.samples[segment.used + skip:segment.used + goal - position]
            if skip < segment.left and len(part):
                self._report_far_end(part, next_s + self._ahead / self.rate)
                self._ahead += len(part)
            position += segment.left

    def _withdraw(self, next_s: float) -> None:
        """Report silence for what was announced and is not heard now."""
        if self._ahead:
            self._listener(FarEnd(np.zeros(self._ahead, np.float32), next_s))
            self._ahead = 0

    def _report_far_end(self, samples: Float32, start_s: float) -> None:
        sound = np.clip(samples * self._wanted_gain, -1.0, 1.0)
        self._listener(FarEnd(sound.astype(np.float32, copy=False), start_s, self._stepped))
        self._stepped = False

    def _scale(self, out: Float32, wanted: np.float32) -> None:
        """Apply the volume; what is too loud is clipped, not wrapped."""
        if not len(out):
            self._gain = wanted
            return
        if self._gain != wanted:
            ramp = min(len(out), round(FADE_S * self.rate))
            out[:ramp] *= np.linspace(self._gain, wanted, ramp, dtype=np.float32)
            out[ramp:] *= wanted
            self._gain = wanted
        elif self._gain != 1.0:
            out *= self._gain
        np.clip(out, -1.0, 1.0, out=out)

    def _faded(self, segment: _Segment) -> _Segment:
        rest = segment.samples[segment.used:segment.used + round(FADE_S * self.rate)]
        ramp = np.linspace(1.0, 0.0, len(rest), dtype=np.float32)
        return _Segment(segment.owner, segment.piece, rest * ramp)
