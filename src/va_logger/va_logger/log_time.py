# SPDX-License-Identifier: Apache-2.0
"""Times as they stand in the logs."""

from __future__ import annotations

from datetime import datetime, timezone


def iso(stamp_s: float) -> str:
    """Unix seconds as ISO 8601 in UTC with microseconds, always of the same length."""
    return datetime.fromtimestamp(stamp_s, tz=timezone.utc).isoformat(timespec='microseconds')


def unix(text: str) -> float:
    """Unix seconds of an ISO 8601 time. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
