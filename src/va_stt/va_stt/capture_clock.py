# SPDX-License-Identifier: Apache-2.0
"""Smooth capture times from jittery device times."""

from __future__ import annotations

from statistics import median

JUMP_S = 0.05
PERSISTENT = 5
PULL = 0.005
SETTLING_PULL = 0.3
STEADY_S = 0.02
STEADY_BLOCKS = 10
SETTLING_MAX_S = 2.0


class CaptureClock:
    """Gives every block of a stream its start time, counted in samples.

    A device reports the capture time of a block with a jitter of milliseconds, and its rate is
    off by some ppm. Counted samples have no jitter; the reported time pulls the count slowly
    (a first-order loop of about 1 s at 20 ms blocks). A difference of more than ``JUMP_S`` that
    persists is a gap, or a clock that was set: the count steps by it.

    PortAudio on PulseAudio reports latencies that are wrong by up to 0.6 s for the first blocks
    of a stream. Until the reports agree with the count, for ``SETTLING_MAX_S`` at most, the count
    follows them closely and :attr:`settled` is false.

    Args:
        rate: nominal samples per second of the stream.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next_s: float | None = None
        self._counted_s = 0.0
        self._steady = 0
        self._off: list[float] = []
        self.settled = False
        self.jumps = 0

    def stamp(self, reported_s: float, samples: int) -> float:
        """Return the start of a block in Unix seconds.

        Args:
            reported_s: start of the block as the device says, Unix seconds.
            samples: length of the block.
        """
        start_s = reported_s if self._next_s is None else self._next_s
        error_s = reported_s - start_s
        start_s += self._follow(error_s) if self.settled else self._settle(error_s)
        length_s = samples / self._rate
        self._counted_s += length_s
        self._next_s = start_s + length_s
        return start_s

    def _settle(self, error_s: float) -> float:
        self._steady = self._steady + 1 if abs(error_s) < STEADY_S else 0
        self.settled = self._steady >= STEADY_BLOCKS or self._counted_s >= SETTLING_MAX_S
        return error_s if abs(error_s) > JUMP_S else SETTLING_PULL * error_s

    def _follow(self, error_s: float) -> float:
        if abs(error_s) <= JUMP_S:
            self._off.clear()
            return PULL * error_s
        self._off.append(error_s)
        if len(self._off) < PERSISTENT:
            return 0.0
        step_s = median(self._off)
        self._off.clear()
        self.jumps += 1
        return step_s
