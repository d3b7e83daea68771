# SPDX-License-Identifier: Apache-2.0
"""When a sample will be heard, from the noisy times that the sound system gives."""

from __future__ import annotations

from va_common.sample_clock import SampleClock

STEP_S = 0.25
"""A difference of the clocks this large is a clock that was set, not jitter."""
JUMP_S = 0.04
"""A play time this far from the expected one is a real gap."""
OFF_S = 0.006
OFF_BLOCKS = 16
"""So many in a row that are off to one side by more than ``OFF_S`` are no jitter: after an
underrun of less than ``JUMP_S`` PulseAudio plays on 6 to 35 ms elsewhere."""
_SMALLEST_LATENCY_S = 0.001
_OFFSET_GAIN = 0.001
_SETTLING_S = 2.0
"""PortAudio on PulseAudio reports wrong latencies at first: the count follows them closely."""
_SETTLING_GAIN = 0.05


class PlayClock:
    """Smooths the play time of successive blocks.

    Args:
        rate: Hz.
        latency_s: from call-back to ear, while the sound system gives none (its first blocks).
    """

    def __init__(self, rate: int, latency_s: float) -> None:
        self._rate = rate
        self._latency_s = latency_s
        self._offset_s: float | None = None
        self._clock: SampleClock | None = None
        self._counted_s = 0.0
        self._off = 0
        """Blocks in a row that came late; below 0: that came early."""
        self.latency_s = latency_s

    def block(self, frames: int, now_s: float, current_s: float, dac_s: float) -> float:
        """Unix time at which the first frame of the next block is heard.

        Args:
            frames: length of the block.
            now_s: Unix time in the call-back.
            current_s: the same moment on the clock of the stream (PortAudio's currentTime).
            dac_s: when the block is heard, on the clock of the stream (outputBufferDacTime).
        """
        latency = dac_s - current_s
        if not _SMALLEST_LATENCY_S <= latency < 2.0:
            latency = self._latency_s
        self.latency_s += 0.1 * (latency - self.latency_s)
        measured = self._offset(now_s - current_s) + current_s + latency
        clock = self._clock
        if clock is None or self._steps(measured - clock.next_s):
            clock = self._clock = self._begin(clock, measured)
        elif self._counted_s < _SETTLING_S:
            clock.next_s += _SETTLING_GAIN * (measured - clock.next_s)
        else:
            clock.take(measured)
        start = clock.next_s
        clock.advance(frames)
        self._counted_s += frames / self._rate
        return start

    def _steps(self, error_s: float) -> bool:
        """Whether the time has stepped, in place of jittering."""
        if abs(error_s) < OFF_S:
            self._off = 0
        else:
            self._off = max(self._off, 0) + 1 if error_s > 0.0 else min(self._off, 0) - 1
        return abs(error_s) > JUMP_S or abs(self._off) >= OFF_BLOCKS

    def _begin(self, before: SampleClock | None, start_s: float) -> SampleClock:
        """Count anew from a time, closely at first; the rate stays what it was."""
        self._counted_s, self._off = 0.0, 0
        if before is None:
            return SampleClock(self._rate, start_s)
        return SampleClock(self._rate, start_s, before.skew, before.skew_deviation)

    def _offset(self, measured: float) -> float:
        """Unix time minus stream time.

        A call-back that runs late measures too much, never too little: the smallest is the truth.
        It creeps up to follow the drift of the clocks.
        """
        offset = self._offset_s
        if offset is None or measured < offset or measured - offset > STEP_S:
            offset = measured
        else:
            offset += _OFFSET_GAIN * (measured - offset)
        self._offset_s = offset
        return offset
