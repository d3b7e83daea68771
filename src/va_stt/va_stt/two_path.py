# SPDX-License-Identifier: Apache-2.0
"""Tells a person who begins to speak from a room that has changed.

Both leave a sound that the filter did not expect. A second filter that knows the room less surely
is tried then, as in K. Ochiai, T. Araseki, T. Ogihara, "Echo canceler with two echo path models",
IEEE Trans. Communications 25 (1977): it soon takes out what is echo, and never takes out a voice.
Where the echo only comes at another time than expected, the filter is moved at once.
"""

from __future__ import annotations

from va_stt.blocks import Int16
from va_stt.echo_shift import EchoShift
from va_stt.levels import power
from va_stt.linear_canceller import LinearCanceller

UNEXPECTED_DB = 12.0
TRIAL_BLOCKS = 50
"""A second."""
SOONEST_BLOCKS = 8
DOUBT_BLOCKS = 15
"""So long, 0.3 s, what was not expected may still turn out to be echo in any case: when the
speaker begins, when the filter was moved, when a trial begins."""
BETTER = 0.4
"""Share of what the first filter leaves from which the second one is right: 4 dB."""
GAINING = 0.85
KEPT = 0.9


class TwoPathCanceller:
    """A :class:`LinearCanceller` that is replaced when another one knows the room better."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        self._main = LinearCanceller()
        self._shift = EchoShift()
        self._trial: LinearCanceller | None = None
        self._tried = self._steady = 0
        self._left = self._left_by_trial = 0.0

    def rest(self) -> None:
        """The speaker was silent for longer than the filter."""
        self._main.rest()
        self._shift.clear()
        self._trial = None
        self._steady = 0

    @property
    def near_db(self) -> float:
        """See :attr:`LinearCanceller.near_db`."""
        return self._main.near_db

    @property
    def in_doubt(self) -> bool:
        """Whether what was not expected may be echo: it just began, or the trial gains on it."""
        return self._steady < DOUBT_BLOCKS or (self._trial is not None and (
            self._tried < DOUBT_BLOCKS or self._left_by_trial < GAINING * self._left))

    def process(self, near: Int16, far: Int16) -> Int16:
        """Clean one block: both int16 (320,), 16 kHz.

        Raises:
            ValueError: another length.
        """
        rest = self._main.process(near, far)
        self._steady += 1
        self._shift.feed(near, self._main.expected)
        if self.near_db > UNEXPECTED_DB and (samples := self._shift.samples()):
            self._main.move(samples)
            self._shift.clear()
            self._trial, self._steady = None, 0
            return rest
        if self._trial is None:
            if self.near_db > UNEXPECTED_DB:
                self._trial, self._tried = self._main.unsure(), 0
                self._left = self._left_by_trial = 0.0
            return rest
        tried = self._trial.process(near, far)
        self._tried += 1
        self._left = KEPT * self._left + power(rest)
        self._left_by_trial = KEPT * self._left_by_trial + power(tried)
        if self._tried >= SOONEST_BLOCKS and self._left_by_trial < BETTER * self._left:
            self._main, self._trial = self._trial, None
            self._shift.clear()
            return tried
        if self._tried >= TRIAL_BLOCKS and self.near_db < UNEXPECTED_DB:
            self._trial = None
        elif self._tried % TRIAL_BLOCKS == 0:
            self._trial = self._main.unsure()
        return rest
