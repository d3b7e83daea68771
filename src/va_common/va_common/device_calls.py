# SPDX-License-Identifier: Apache-2.0
"""How the owner of an audio device survives its loss: calls that may hang, and when to retry."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import threading
from typing import TypeVar

from va_common.errors import AssistantError, ErrorCode
from va_common.retry_backoff import Backoff

T = TypeVar('T')
LOOK_S = 0.5


class DeviceCalls:
    """Runs calls of PortAudio with a deadline: they hang when the sound server does.

    A call that hangs keeps its thread until the server goes on or dies; until then every further
    call is refused, because PortAudio is not safe for two at a time. Used by one thread.

    Args:
        device: for messages, as ``microphone 'default'``; asked when needed.
    """

    def __init__(self, device: Callable[[], str]) -> None:
        self._device = device
        self._hanging: threading.Thread | None = None

    def run(self, what: str, function: Callable[[], T], timeout_s: float) -> T:
        """Call ``function()`` in a thread of its own.

        Raises:
            AssistantError: DEVICE_FAILED, it did not return in time, or an earlier one has not
                yet; and whatever it raises.
        """
        if self._hanging is not None and self._hanging.is_alive():
            raise AssistantError(
                ErrorCode.DEVICE_FAILED, f'{self._device()}: the sound server does not answer')
        done: Future[T] = Future()
        thread = threading.Thread(
            target=_carry_out, args=(function, done), name=f'device_{what}', daemon=True)
        self._hanging = thread
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            raise AssistantError(
                ErrorCode.DEVICE_FAILED,
                f'{self._device()} did not {what} within {timeout_s:g} s: the sound server does '
                f'not answer')
        self._hanging = None
        return done.result()


class DeviceRetry:
    """When to try again to open a lost device.

    By backoff, for as long as it takes, or at once when devices have come or gone.

    Args:
        backoff: the pauses.
        hint: something cheap that changes with the devices.
        look_s: how often the hint is looked at.
    """

    def __init__(self, backoff: Backoff | None = None,
                 hint: Callable[[], object] = lambda: None, look_s: float = LOOK_S) -> None:
        self._backoff = backoff or Backoff()
        self._hint = hint
        self._look_s = look_s
        self._seen: object = None

    @property
    def attempts(self) -> int:
        """How often it was waited for since the device was there."""
        return self._backoff.attempts

    def reset(self) -> None:
        """The device is there."""
        self._backoff.reset()

    def wait(self, stopping: threading.Event) -> bool:
        """Wait until the next attempt is due. False: ``stopping`` was set."""
        if not self.attempts:
            self._seen = self._hint()
        left_s = self._backoff.next()
        while left_s > 0:
            step_s = min(self._look_s, left_s)
            if stopping.wait(step_s):
                return False
            left_s -= step_s
            if self._changed():
                break
        return not stopping.is_set()

    def _changed(self) -> bool:
        now = self._hint()
        changed, self._seen = now != self._seen, now
        return changed


def _carry_out(function: Callable[[], T], done: Future[T]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:  # the future carries it to whoever waits
        done.set_exception(error)
