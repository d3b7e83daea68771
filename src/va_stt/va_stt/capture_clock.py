# SPDX-License-Identifier: Apache-2.0
"""Smooth capture times from jittery device times."""

from __future__ import annotations

from statistics import median

from va_common.sample_clock import SampleClock

JUMP_S = 0.05
PERSISTENT = 5
SETTLING_PULL = 0.3
STEADY_S = 0.02
STEADY_BLOCKS = 10
SETTLING_MAX_S = 2.0


class CaptureClock:
    """Gives every block of a stream its start time, counted in samples.

    A device reports the capture time of a block with a jitter of milliseconds, and its rate is
    off by some ppm. Counted samples have no jitter; a :class:`SampleClock` holds them to the
    reports. A difference of more than ``JUMP_S`` that persists is a gap, or a clock that was set:
    the count steps by it.

    PortAudio on PulseAudio reports latencies that are wrong by up to 0.6 s for the first blocks
    of a stream. Until the reports agree with the count, for ``SETTLING_MAX_S`` at most, the count
    follows them closely and :attr:`settled` is false.

    Args:
        rate: nominal samples per second of the stream.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._clock: SampleClock | None = None
        self._counted_s = 0.0
        self._steady = 0
        self._off: list[float] = []
        self.settled = False
        self.jumps = 0

    @property
    def skew(self) -> float:
        """How much longer than nominal a second of samples takes: 1e-6 is 1 ppm."""
        return 0.0 if self._clock is None else self._clock.skew

    def stamp(self, reported_s: float, samples: int) -> float:
        """Return the start of a block in Unix seconds.

        Args:
            reported_s: start of the block as the device says, Unix seconds.
            samples: length of the block.
        """
        if self._clock is None:
            self._clock = SampleClock(self._rate, reported_s)
        clock, error_s = self._clock, reported_s - self._clock.next_s
        if not self.settled:
            clock = SampleClock(self._rate, clock.next_s + self._settle(error_s))
            self._clock = clock
        elif abs(error_s) <= JUMP_S:
            self._off.clear()
            clock.take(reported_s)
        else:
            clock.next_s += self._jump(error_s)
        start_s = clock.next_s
        clock.advance(samples)
        self._counted_s += samples / self._rate
        return start_s

    def _settle(self, error_s: float) -> float:
        self._steady = self._steady + 1 if abs(error_s) < STEADY_S else 0
        self.settled = self._steady >= STEADY_BLOCKS or self._counted_s >= SETTLING_MAX_S
        return error_s if abs(error_s) > JUMP_S else SETTLING_PULL * error_s

    def _jump(self, error_s: float) -> float:
        self._off.append(error_s)
        if len(self._off) < PERSISTENT:
            return 0.0
        step_s = median(self._off)
        self._off.clear()
        self.jumps += 1
        return step_s
