# SPDX-License-Identifier: Apache-2.0
"""Smooth capture times from jittery device times."""

from __future__ import annotations

JUMP_S = 0.1
PULL = 0.02


class CaptureClock:
    """Gives every block of a stream its start time, counted in samples.

    A device reports the capture time of a block with a jitter of milliseconds, and its rate is
    off by some ppm. Counted samples have no jitter; the reported time pulls the count slowly
    (a first-order loop of about 1 s at 20 ms blocks). A difference of more than ``JUMP_S`` is a
    gap, or a clock that was set: the count starts again from the reported time.

    Args:
        rate: nominal samples per second of the stream.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next_s: float | None = None
        self.jumps = 0

    def stamp(self, reported_s: float, samples: int) -> float:
        """Return the start of a block in Unix seconds.

        Args:
            reported_s: start of the block as the device says, Unix seconds.
            samples: length of the block.
        """
        if self._next_s is None:
            start_s = reported_s
        else:
            error_s = reported_s - self._next_s
            if abs(error_s) > JUMP_S:
                self.jumps += 1
                start_s = reported_s
            else:
                start_s = self._next_s + PULL * error_s
        self._next_s = start_s + samples / self._rate
        return start_s

    def reset(self) -> None:
        """Forget the count: the stream has been opened again."""
        self._next_s = None
