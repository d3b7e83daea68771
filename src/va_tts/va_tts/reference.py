# SPDX-License-Identifier: Apache-2.0
"""The far-end reference: what the speaker plays, as 16 kHz chunks with their play times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from va_common.audio_io import (
    CHUNK_S,
    Float32,
    float_to_int16,
    Int16,
    SAMPLE_RATE,
    StreamResampler,
)

CHUNK = round(CHUNK_S * SAMPLE_RATE)
_GAP_S = 0.010

Publish = Callable[[Int16, float, bool], None]


class Reference:
    """Turns announced sound into chunks. Used by one thread.

    Args:
        rate: Hz of the sound that comes in.
        publish: takes int16 (n,) at 16 kHz, n = 1280 except at the end of a run of sound, and the
            Unix time at which the first sample is heard, and whether what was published for
            later than that is heard elsewhere.
    """

    def __init__(self, rate: int, publish: Publish) -> None:
        self._publish = publish
        self._anew = False
        self.restart(rate)

    def restart(self, rate: int) -> None:
        """Forget what is pending and go on with sound of another rate."""
        self._rate = rate
        self._begin()

    def _begin(self) -> None:
        self._resampler = StreamResampler(self._rate, SAMPLE_RATE)
        self._pending = np.zeros(0, np.float32)
        self._taken = 0
        self._sent = 0
        self._end_s = 0.0

    def push(self, samples: Float32, start_s: float, anew: bool = False) -> None:
        """Take sound heard from ``start_s`` on.

        A gap before it ends the run; sound that replaces what was announced, after a cut, begins
        a new one, and so does sound after the speaker's times made a step (``anew``).
        """
        if anew:
            self._begin()
            self._anew = True
        elif self._taken and start_s > self._end_s + _GAP_S:
            self.flush()
        elif self._taken and start_s < self._end_s - _GAP_S:
            self._begin()
        self._taken += len(samples)
        self._end_s = start_s + len(samples) / self._rate
        self._keep(self._resampler.process(samples))
        while len(self._pending) >= CHUNK:
            self._send(CHUNK)

    def flush(self) -> None:
        """End the run of sound: publish what is left of it."""
        if self._taken:
            self._keep(self._resampler.process(np.zeros(0, np.float32), last=True))
            while len(self._pending):
                self._send(min(CHUNK, len(self._pending)))
        self._begin()

    def _keep(self, samples: Float32) -> None:
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])

    def _send(self, count: int) -> None:
        chunk, self._pending = self._pending[:count], self._pending[count:]
        # From the newest play time backwards: so the chunks follow the clock of the device.
        start_s = self._end_s - self._taken / self._rate + self._sent / SAMPLE_RATE
        self._sent += count
        self._publish(float_to_int16(chunk), start_s, self._anew)
        self._anew = False
