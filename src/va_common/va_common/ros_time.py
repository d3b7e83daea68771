# SPDX-License-Identifier: Apache-2.0
"""Unix seconds (float) inside, builtin_interfaces/Time at the door."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Time


def to_msg(seconds: float) -> Time:
    """Unix seconds as a message; negative times become zero."""
    whole = math.floor(max(0.0, seconds))
    nanoseconds = round((max(0.0, seconds) - whole) * 1e9)
    return Time(sec=whole + nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def to_seconds(stamp: Time) -> float:
    """Unix seconds of a message (float64: exact to about 0.2 microseconds)."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9
