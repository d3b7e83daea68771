# SPDX-License-Identifier: Apache-2.0
"""Where the wake word ended: the moment its score rose, corrected by the pause behind it.

Measured with "hey jarvis" by ten Kokoro voices at three speeds in four positions to the frame:
the score passes 0.6 at the end of the frame 7 ms after the end of the word on average, standard
deviation 85 ms, between 240 ms before it and 180 ms after it. Where the sound fell silent before
that, the word ended there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from va_common.audio_io import Int16, SAMPLE_RATE

LOOK_BACK_S = 0.26
"""How long before the rise of the score the word may have ended."""
CONTEXT_S = 1.6
"""Sound that tells what is loud and what is silent here."""

_BLOCK = 160  # 10 ms
_PAUSE_BLOCKS = 4
_BELOW_PEAK_DB = 28.0
_ABOVE_FLOOR_DB = 3.0
# In more noise than this the s of "jarvis" drowns and the word would seem to end before it.
_LEAST_SNR_DB = 26.0
# Where it is quiet but no pause has come yet, the s of "jarvis" is usually still going on.
_UNFINISHED_S = 0.03


def word_end_before(sound: Int16) -> float:
    """How long before its end a sound holds the end of the word.

    Args:
        sound: int16 (n,), 16 kHz, ending with the frame in which the score passed the threshold;
            about :data:`CONTEXT_S` of it.

    Returns:
        Seconds, up to :data:`LOOK_BACK_S`; 0 where noise hides the end; a little below 0 where
        the word is still being said.
    """
    levels = _levels(sound)
    if levels.size == 0:
        return 0.0
    floor = float(np.percentile(levels, 10))
    if levels.max() - floor < _LEAST_SNR_DB:
        return 0.0
    limit = max(levels.max() - _BELOW_PEAK_DB, floor + _ABOVE_FLOOR_DB)
    look_back = min(levels.size, round(LOOK_BACK_S * SAMPLE_RATE / _BLOCK))
    blocks = _pause_start(levels[-look_back:] < limit)
    return blocks * _BLOCK / SAMPLE_RATE if blocks else -_UNFINISHED_S


def _pause_start(silent: npt.NDArray[np.bool_]) -> int:
    """Blocks from the start of the first pause to the end of the sound; 0 without one."""
    run = 0
    for index, is_silent in enumerate(silent):
        run = run + 1 if is_silent else 0
        # At the very end a pause may just have begun.
        if run == _PAUSE_BLOCKS or (run and index == silent.size - 1):
            return int(silent.size) - (index - run + 1)
    return 0


def _levels(sound: Int16) -> npt.NDArray[np.float64]:
    """Level of each 10 ms in dB; the last block ends with the sound."""
    count = sound.size // _BLOCK
    blocks = sound[sound.size - count * _BLOCK:].reshape(count, _BLOCK).astype(np.float64)
    power: npt.NDArray[np.float64] = np.mean(np.square(blocks), axis=1)
    return 10.0 * np.log10(power + 1.0)
