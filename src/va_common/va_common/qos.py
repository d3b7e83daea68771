# SPDX-License-Identifier: Apache-2.0
"""The QoS profiles of all topics, named in one place."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=durability,
    )


AUDIO = _profile(50, DurabilityPolicy.VOLATILE)
"""Sound: reliable; 50 chunks of 80 ms are 4 s. A lost chunk shows as a gap in ``sequence``."""

EVENTS = _profile(50, DurabilityPolicy.VOLATILE)
"""Wakes, transcripts, replies, playback events."""

STATE = _profile(1, DurabilityPolicy.TRANSIENT_LOCAL)
"""Latched: a late subscriber gets the last one."""
