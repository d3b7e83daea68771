# SPDX-License-Identifier: Apache-2.0
"""Power of a block, and decibels between two powers."""

from __future__ import annotations

import math

import numpy as np

from va_stt.blocks import Int16

FULL_SCALE = 32768.0 ** 2
"""Power of the loudest int16 sound."""


def power(samples: Int16) -> float:
    """Mean square of int16 samples (n,), 0 to :data:`FULL_SCALE`."""
    return float(np.mean(np.square(samples.astype(np.float32))))


def ratio_db(one: float, other: float) -> float:
    """By how many dB one power is more than another; silence counts as one step of int16."""
    return 10.0 * math.log10((one + 1.0) / (other + 1.0))
