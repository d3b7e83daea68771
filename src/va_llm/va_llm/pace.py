# SPDX-License-Identifier: Apache-2.0
"""When to begin an answer that may not be wanted: how early, how often, and not under load."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from va_common.ids import TurnKey

DRAFTS: Final = 5
"""Of one turn at most: somebody who pauses after each word is waited for."""
LATE: Final = 0.75
"""A text that comes after so much of the pause shows that the machine has no time to spare: with
two cores it takes 0.5 to 0.9 s of 2."""
LEAD: Final = 1.5
"""After a false end the next draft begins so many times its usual duration before the end."""
FIRST_WORK_S: Final = 1.2
"""From the question to the first sound ready on two cores, before it has been measured."""
_SMOOTHING: Final = 0.3
_LONGEST_S: Final = 10.0


class Pace:
    """Decides for each pause of a turn. All times are Unix seconds."""

    def __init__(self) -> None:
        self.work_s = FIRST_WORK_S
        """From the beginning of an answer until its first sound is ready, smoothed."""
        self._turn = TurnKey('')
        self._drafts = 0
        self._begun = TurnKey('')
        self._begun_s = 0.0

    def delay_s(self, key: TurnKey, speech_end_s: float, turn_end_s: float,
                now_s: float) -> float | None:
        """How long to wait before a draft for this pause begins.

        Args:
            key: turn and revision.
            speech_end_s: when the pause began.
            turn_end_s: when the turn ends if nothing more is said.
            now_s: present time.

        Returns:
            Seconds; None: no draft.
        """
        turn = replace(key, revision=0)
        if turn != self._turn:
            self._turn, self._drafts = turn, 0
        used = (now_s - speech_end_s) / max(0.001, turn_end_s - speech_end_s)
        if used > LATE or self._drafts >= DRAFTS:
            return None
        self._drafts += 1
        wait_s = 0.0
        if self._drafts > 1:
            wait_s = turn_end_s - LEAD * self.work_s - now_s
        wait_s = min(_LONGEST_S, max(0.0, wait_s))
        self._begun, self._begun_s = key, now_s + wait_s
        return wait_s

    def asked(self, key: TurnKey, now_s: float) -> None:
        """The turn has ended: its answer is wanted."""
        begun_s = self._begun_s if key == self._begun else now_s
        self._begun, self._begun_s = key, min(begun_s, now_s)

    def ready(self, key: TurnKey, ready_s: float) -> None:
        """The first sound of a reply was ready to be heard at ``ready_s``."""
        if key == self._begun:
            took_s = min(_LONGEST_S, max(0.0, ready_s - self._begun_s))
            self.work_s += _SMOOTHING * (took_s - self.work_s)
            self._begun = TurnKey('')
