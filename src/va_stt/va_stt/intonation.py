# SPDX-License-Identifier: Apache-2.0
"""Pitch of a voice, and how far it sinks at the end of what was said.

Whoever has finished a statement or a command lets the voice sink to the bottom of its range; who
only pauses keeps it up (Gravano and Hirschberg, "Turn-taking cues in task-oriented dialogue",
Computer Speech and Language 25, 2011: plateaus hold the turn). Pitch is found by autocorrelation
divided by that of the window (Boersma, "Accurate short-term analysis of the fundamental
frequency", 1993), without his search for the best path.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import int16_to_float
from va_stt.blocks import Int16, RATE

Floats = NDArray[np.floating[Any]]

HALF_RATE = RATE // 2
FRAME, HOP, FFT = 320, 80, 1024
LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
PERIODIC = 0.5
"""Autocorrelation from which a frame is voiced; 1 is a pure tone."""
QUIET_DB = 30.0
"""Frames this far below the loudest one are not looked at."""
OCTAVE_COST = 0.02
"""What an octave down has to be better by: multiples of a period fit nearly as well as it."""
OUTLIER = 10.0
"""Semitones from the median: taken for an error."""
LOW_SHARE = 0.1
"""Quantile that is the low end of a range."""
END_SHARE = 0.25
"""Quantile that is the pitch at the end: the lowest is too often an error."""
END_FRAMES = 15
FEWEST_FRAMES = 30


def final_fall(samples: Int16) -> float | None:
    """How far the voice has sunk at its end.

    Args:
        samples: the sound since the speech began, (n,) int16, 16 kHz.

    Returns:
        Semitones of the low pitch in the last 150 ms of voice above (positive) or below
        (negative) the low end of the speaker's range so far; None with less than 0.3 s of voice.
    """
    sound = int16_to_float(samples)
    half = sound[:sound.size // 2 * 2].reshape(-1, 2).mean(axis=1)
    pitch_hz = pitch(half)
    places = np.flatnonzero(pitch_hz)
    if places.size < FEWEST_FRAMES:
        return None
    tones = 12.0 * np.log2(pitch_hz[places] / np.median(pitch_hz[places]))
    places, tones = places[np.abs(tones) < OUTLIER], tones[np.abs(tones) < OUTLIER]
    at_end = tones[places > places[-1] - END_FRAMES]
    return float(np.quantile(at_end, END_SHARE) - np.quantile(tones, LOW_SHARE))


def pitch(sound: Floats) -> Floats:
    """Pitch in Hz of every 10 ms of a sound (n,) at 8 kHz; 0 where there is none."""
    if sound.size < FRAME:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    window = np.hanning(FRAME)
    likeness = _autocorrelation(frames * window)
    likeness /= likeness[:, :1] + 1e-12
    likeness /= (_autocorrelation(window[np.newaxis]) / np.sum(window ** 2))
    lags = np.arange(round(HALF_RATE / HIGHEST_HZ), round(HALF_RATE / LOWEST_HZ))
    best = np.argmax(likeness[:, lags] - OCTAVE_COST * np.log2(lags / lags[0]), axis=1)
    level_db = 10.0 * np.log10(np.mean(frames ** 2, axis=1) + 1e-12)
    voiced = (likeness[np.arange(len(frames)), lags[best]] > PERIODIC) \
        & (level_db > level_db.max() - QUIET_DB)
    return np.where(voiced, HALF_RATE / lags[best], 0.0)


def _autocorrelation(frames: Floats) -> Floats:
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2
    return np.asarray(np.fft.irfft(power)[:, :FRAME // 2 + 1])
