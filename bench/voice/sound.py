# SPDX-License-Identifier: Apache-2.0
"""Finds the user and the assistant in the recordings of the two devices, to the sample.

All positions are indices of mono float32 at 16 kHz; sample k of both recordings is of one instant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16000
AUDIBLE_DBFS = -50.0
"""What is softer counts as silence; speech of the assistant is at about -25 dBFS."""
FRAME = RATE // 200
ALIKE = 0.5
"""Least likeness of a clip and what the microphone got of it (echo, noise, room)."""

Sound = NDArray[np.float32]


def located(recording: Sound, clip: Sound, first: int, last: int) -> int | None:
    """Where ``clip`` begins in ``recording``, looked for at ``first`` to ``last``.

    Returns:
        The index of best normalised cross-correlation; None where the likeness is below `ALIKE`.
    """
    begin = max(0, first)
    part = recording[begin:last + clip.size].astype(np.float64)
    if part.size < clip.size:
        return None
    size = 1 << (part.size + clip.size - 1).bit_length()
    spectrum = np.fft.rfft(part, size) * np.conj(np.fft.rfft(clip.astype(np.float64), size))
    match = np.fft.irfft(spectrum, size)[:part.size - clip.size + 1]
    energy = np.concatenate(([0.0], np.cumsum(part ** 2)))
    power = energy[clip.size:] - energy[:energy.size - clip.size]
    likeness = match / np.sqrt(np.maximum(power, 1e-12) * float(np.sum(clip ** 2.0) + 1e-12))
    best = int(np.argmax(likeness))
    return begin + best if likeness[best] >= ALIKE else None


def loud_frames(recording: Sound) -> NDArray[np.bool_]:
    """Which frames of 5 ms are audible."""
    frames = recording[:recording.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.asarray(np.mean(frames ** 2, axis=1) > 10 ** (AUDIBLE_DBFS / 10))


def onset(recording: Sound, first: int, last: int) -> int | None:
    """The first audible sample from ``first`` on and before ``last``; None when it is silent."""
    first = max(0, first)
    part = recording[first:max(first, last)]
    loud = np.flatnonzero(loud_frames(part))
    if not loud.size:
        return None
    # The frame before it may hold the beginning, too soft to make that one loud.
    begin = max(0, int(loud[0]) - 1) * FRAME
    audible = np.abs(part[begin:]) > 10 ** (AUDIBLE_DBFS / 20)
    return first + begin + int(np.argmax(audible))


def end_of_sound(recording: Sound, first: int, quiet_s: float) -> int | None:
    """One past the last audible sample before ``quiet_s`` of silence, from an onset on.

    None when the sound does not end before the recording.
    """
    loud = np.flatnonzero(loud_frames(recording[first:]))
    if not loud.size:
        return None
    total = (recording.size - first) // FRAME
    gaps = np.diff(np.append(loud, total))
    ends = np.flatnonzero(gaps * FRAME >= quiet_s * RATE)
    return first + (int(loud[ends[0]]) + 1) * FRAME if ends.size else None


def longest_gap_s(recording: Sound, first: int, last: int) -> float:
    """The longest silence inside the sound from ``first`` to ``last``, in seconds."""
    loud = np.flatnonzero(loud_frames(recording[first:last]))
    return float((np.diff(loud).max() - 1) * FRAME / RATE) if loud.size > 1 else 0.0
