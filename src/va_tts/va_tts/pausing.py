# SPDX-License-Identifier: Apache-2.0
"""An utterance that is lowered or held while somebody seems to speak over it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from va_common.errors import AssistantError, ErrorCode
from va_tts.playout import Playout

AT_MOST_S = 5.0
LONGEST_S = 60.0
DUCKED = 10 ** (-15 / 20)
"""Still understood, and a voice beside it is, too."""


class How(IntEnum):
    """The constants of va_interfaces/Pause."""

    GO_ON = 0
    DUCK = 1
    HOLD = 2


def how_of(number: int) -> How:
    """Raises AssistantError INVALID_ARGUMENT for a number that is none of them."""
    if number not in list(How):
        message = f'tts/pause: what {number}: expected 0 (go on), 1 (duck) or 2 (hold)'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return How(number)


class Pausing:
    """Lowers or holds what one utterance gives to the device, for a bounded time.

    Used under one lock.

    Args:
        clock: a steady clock in seconds.
    """

    def __init__(self, playout: Playout, clock: Callable[[], float]) -> None:
        self._playout = playout
        self._clock = clock
        self._owner: int | None = None
        self._until_s = 0.0

    def set(self, owner: int, how: How, at_most_s: float) -> None:
        """Change how ``owner``, which is being spoken, is heard.

        Args:
            at_most_s: then it goes on by itself; 0: ``AT_MOST_S``, at most ``LONGEST_S``.
        """
        self._owner = None if how is How.GO_ON else owner
        self._until_s = self._clock() + min(at_most_s or AT_MOST_S, LONGEST_S)
        self._playout.duck(1.0 if how is How.GO_ON else DUCKED)
        self._playout.hold(how is How.HOLD)

    def ended(self, owner: int) -> None:
        """``owner`` is spoken no more: what comes next is heard as ever."""
        if self._owner == owner:
            self.set(owner, How.GO_ON, 0.0)

    def tick(self) -> None:
        """Let it go on when its time is over."""
        if self._owner is not None and self._clock() >= self._until_s:
            self.set(self._owner, How.GO_ON, 0.0)
