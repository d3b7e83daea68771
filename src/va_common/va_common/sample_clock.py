# SPDX-License-Identifier: Apache-2.0
"""When the samples of a device are heard: counted, and held to its jittery time stamps."""

from __future__ import annotations

import math

STAMP_S = 0.003
"""Standard deviation of a stamp; a better device only makes the count better."""
RATE_RANGE = 100e-6
"""Standard deviation of the rates of devices: most quartzes are within ±100 ppm, all ±200."""
RATE_WANDER = 0.3e-6
"""How much a rate changes in a second: with the temperature, hardly at all."""
OUTLIER = 3.0
"""Standard deviations beyond which a stamp counts as one of so many: a late call-back."""


class SampleClock:
    """Time of the next sample and rate of a stream of samples, from one stamp per block.

    A Kalman filter of two states, the time and the rate (Bar-Shalom, Li, Kirubarajan, "Estimation
    with Applications to Tracking and Navigation", 2001, ch. 5: nearly constant velocity). It
    begins as a line of least squares through all stamps and goes on as one that forgets within
    about 30 s. With stamps that jitter by 3 ms the count is off by 0.05 ms then, and wanders by
    0.4 samples a second: an echo canceller takes that for a room at rest.

    Args:
        rate: nominal samples per second.
        start_s: first stamp, Unix seconds.
        skew: what is known of the rate, see :attr:`skew`.
        skew_deviation: how uncertain that is.
    """

    def __init__(self, rate: int, start_s: float, skew: float = 0.0,
                 skew_deviation: float = RATE_RANGE) -> None:
        self._rate = rate
        self.next_s = start_s
        """Time of the next sample, Unix seconds."""
        self.skew = skew
        """How much longer than nominal a second of samples takes: 1e-6 is 1 ppm."""
        self._time_var = STAMP_S ** 2
        self._both_var = 0.0
        self._skew_var = skew_deviation ** 2

    @property
    def skew_deviation(self) -> float:
        """Standard deviation of :attr:`skew`."""
        return math.sqrt(self._skew_var)

    def take(self, stamp_s: float) -> None:
        """Correct by a stamp of the next sample, Unix seconds."""
        expected_var = self._time_var + STAMP_S ** 2
        limit_s = OUTLIER * math.sqrt(expected_var)
        error_s = min(limit_s, max(-limit_s, stamp_s - self.next_s))
        gain, skew_gain = self._time_var / expected_var, self._both_var / expected_var
        self.next_s += gain * error_s
        self.skew += skew_gain * error_s
        self._skew_var -= skew_gain * self._both_var
        self._both_var *= 1.0 - gain
        self._time_var *= 1.0 - gain

    def advance(self, samples: int) -> None:
        """Count so many samples."""
        nominal_s = samples / self._rate
        self.next_s += nominal_s * (1.0 + self.skew)
        self._time_var += nominal_s * (2.0 * self._both_var + nominal_s * self._skew_var)
        self._both_var += nominal_s * self._skew_var
        self._skew_var += nominal_s * RATE_WANDER ** 2
