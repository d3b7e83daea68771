# SPDX-License-Identifier: Apache-2.0
"""Unix seconds (float) inside, builtin_interfaces/Time at the door."""

from __future__ import annotations

from builtin_interfaces.msg import Time


def to_msg(seconds: float) -> Time:
    """Unix seconds as a message; negative times become zero."""
    nanoseconds = max(0, round(seconds * 1e9))
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def to_seconds(stamp: Time) -> float:
    """Unix seconds of a message (float64: exact to about 0.2 microseconds)."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9
