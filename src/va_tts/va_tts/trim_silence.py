# SPDX-License-Identifier: Apache-2.0
"""Replaces the long silences around synthesised speech by natural pauses."""

from __future__ import annotations

import numpy as np

from va_common.audio_io import Float32

FRAME_S = 0.005
THRESHOLD = 10 ** (-56 / 20)
"""RMS of a frame that is speech; measured: Kokoro's pauses are below -68 dBFS, the end of a soft
consonant or a breath above -55."""
HEAD_S = 0.03
SENTENCE_TAIL_S = 0.10
CLAUSE_TAIL_S = 0.05


def tail_for(text: str) -> float:
    """Seconds of pause after ``text`` by its last mark: longer after a sentence."""
    return SENTENCE_TAIL_S if text.rstrip('"\'”’)*_` ')[-1:] in '.!?…。！？' else CLAUSE_TAIL_S


def trim(samples: Float32, rate: int, tail_s: float, head_s: float = HEAD_S) -> Float32:
    """Cut leading and trailing silence, keeping ``head_s`` and exactly ``tail_s`` of it.

    Args:
        samples: float32 in [-1, 1], (n,).
        rate: Hz.

    Returns:
        float32 (m,); empty when all of it is silence.
    """
    frame = max(1, round(rate * FRAME_S))
    count = len(samples) // frame
    frames = samples[:count * frame].reshape(count, frame)
    loud = np.flatnonzero(np.sqrt(np.mean(np.square(frames), axis=1)) > THRESHOLD)
    if not loud.size:
        return np.zeros(0, np.float32)
    first = max(0, int(loud[0]) * frame - round(head_s * rate))
    last = (int(loud[-1]) + 1) * frame
    tail = round(tail_s * rate)
    kept = samples[first:last + tail]
    missing = last + tail - first - len(kept)
    return np.pad(kept, (0, missing)).astype(np.float32, copy=False)
