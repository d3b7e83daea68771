# SPDX-License-Identifier: Apache-2.0
"""Which turns are still wanted: outdated work is dropped by comparing ids."""

from __future__ import annotations

from collections.abc import Callable

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import is_dialog_id, TurnKey

FORGET_S = 60.0
"""The newest turn counts this long after it was last spoken of: a clock that was set back (or one
wrong message of next year) silences the assistant no longer than this."""
_ANY_REVISION = 1 << 32


class TurnGate:
    """Knows the newest turn and the turns that were stopped. Used under one lock.

    Ids that are not dialog ids (a program's own on /tts/stream) have no order: they always pass.

    Args:
        clock: a steady clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._touched_s = clock()
        self._newest = TurnKey('')
        self._stopped = TurnKey('')

    def reply(self, key: TurnKey) -> None:
        """Let a streamed reply begin.

        Raises:
            AssistantError: OUTDATED when there is a newer turn or revision, or it was stopped.
        """
        self.check(key)
        if is_dialog_id(key.dialog_id):
            self._take(key)

    def check(self, key: TurnKey) -> None:
        """Raise what :meth:`reply` would, and change nothing."""
        if not is_dialog_id(key.dialog_id):
            return
        self._forget_old()
        if key <= self._stopped:
            raise _outdated(key, 'it was stopped')
        if key < self._newest:
            raise _outdated(key, f'{_name(self._newest)} is newer')

    def speak(self, dialog_id: str, turn: int) -> None:
        """Let a goal speak for a turn, also for one whose reply was stopped.

        Raises:
            AssistantError: OUTDATED when there is a newer turn.
        """
        key = TurnKey(dialog_id, turn)
        if not is_dialog_id(dialog_id):
            return
        self._forget_old()
        if whole_turn(key) < self._newest:
            raise _outdated(key, f'{_name(self._newest)} is newer')
        self._take(max(key, self._newest))

    def stop(self, key: TurnKey) -> None:
        """From now on refuse replies for this turn, up to this revision, and every older one."""
        if is_dialog_id(key.dialog_id):
            self._stopped = max(self._stopped, key)
            self._touched_s = self._clock()

    def stop_newest(self) -> None:
        """From now on refuse replies for the newest turn and every older one."""
        self.stop(whole_turn(self._newest))

    def _take(self, key: TurnKey) -> None:
        self._newest = key
        self._touched_s = self._clock()

    def _forget_old(self) -> None:
        if self._clock() - self._touched_s > FORGET_S:
            self._newest = self._stopped = TurnKey('')


def is_older(one: TurnKey, other: TurnKey) -> bool:
    """Whether ``one`` is outdated by ``other``; never so for ids without order."""
    return is_dialog_id(one.dialog_id) and is_dialog_id(other.dialog_id) and one < other


def is_covered(one: TurnKey, stop: TurnKey) -> bool:
    """Whether stopping ``stop`` stops ``one``: the same turn and revision, or an older one."""
    if one.dialog_id == stop.dialog_id:
        return (one.turn, one.revision) <= (stop.turn, stop.revision)
    return is_older(one, stop)


def whole_turn(key: TurnKey) -> TurnKey:
    """The last of all revisions of a turn: what is not newer belongs to it or is older."""
    return TurnKey(key.dialog_id, key.turn, _ANY_REVISION)


def _name(key: TurnKey) -> str:
    return f'{key.dialog_id}/{key.turn} revision {key.revision}'


def _outdated(key: TurnKey, why: str) -> AssistantError:
    return AssistantError(ErrorCode.OUTDATED, f'turn {_name(key)} is outdated: {why}')
