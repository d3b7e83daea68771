# SPDX-License-Identifier: Apache-2.0
"""Delivery to a logger that may be away: in order, one at a time, again until acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import threading
import time
from typing import Generic, Protocol, TypeVar

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.retry_backoff import Backoff

Item = TypeVar('Item')

CALL_DEADLINES_S = (1.0, 1.0, 1.0, 1.0, 2.0)
"""Short: DDS shows a killed logger for many seconds, and what is sent to it is never answered."""
RETRY_DELAYS_S = (0.1, 0.3, 1.0, 2.0)
INTERNAL_ATTEMPTS = 5
"""After so many INTERNAL errors an item is given up, or it would hold up all behind it."""


@dataclass(frozen=True)
class Answer:
    """What came of one attempt."""

    code: int
    message: str = ''
    sequence: int = 0


Reply = Callable[[Answer], None]


class Queue(Protocol[Item]):
    """What a lane delivers from; :mod:`va_common.logging_queue` has two."""

    def __len__(self) -> int: ...

    def current(self) -> Item | None:
        """The item to deliver now; the same one until it is done or refused."""

    def done(self, item: Item, sequence: int) -> Callable[[], object]:
        """Remove an item that is on disk. Returns what to call once no lock is held."""

    def refuse(self, item: Item, error: AssistantError) -> Callable[[], object]:
        """Remove an item that is given up. Returns what to call once no lock is held."""


class Lane(Generic[Item]):
    """Sends the items of one queue, each until it is acknowledged or refused. Thread-safe.

    Nothing blocks and there is no thread: :meth:`pump` does what is due and is called after
    :meth:`change`, after each answer (``wake`` asks for it), and now and then while items wait.

    Args:
        queue: the items.
        ready: whether a logger is there to send to.
        send: starts one attempt; gives the answer to the second argument, at once or later, or
            never. An AssistantError it raises is the answer.
        wake: asks the owner to call :meth:`pump` soon, from any thread.
        clock: steady seconds.
    """

    def __init__(self, queue: Queue[Item], ready: Callable[[], bool],
                 send: Callable[[Item, Reply], None], wake: Callable[[], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._ready = ready
        self._send = send
        self._wake = wake
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._attempt = 0
        self._in_flight = False
        self._due_s = 0.0
        self._deadlines = Backoff(CALL_DEADLINES_S)
        self._delays = Backoff(RETRY_DELAYS_S)
        self._internal_errors = 0

    def __len__(self) -> int:
        """How many items are not acknowledged."""
        with self._changed:
            return len(self._queue)

    def change(self, action: Callable[[], None]) -> None:
        """Do something to the queue under the lane's lock, and ask for delivery."""
        with self._changed:
            action()
        self._wake()

    def pump(self) -> bool:
        """Send the next item if that is due. False: nothing was due."""
        with self._changed:
            item = self._next()
            if item is None:
                return False
            self._in_flight = True
            self._attempt += 1
            self._due_s = self._clock() + self._deadlines.next()
            reply = partial(self._answered, item, self._attempt)
        try:
            self._send(item, reply)
        except Exception as raised:
            error = error_of(raised)
            reply(Answer(int(error.code), error.message))
        return True

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged or refused. False: time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not len(self._queue), timeout_s)

    def _next(self) -> Item | None:
        now_s = self._clock()
        if now_s < self._due_s and (self._in_flight or self._delays.attempts):
            return None
        # Past its deadline an attempt is not waited for any more; the ids make a repeat harmless.
        self._in_flight = False
        item = self._queue.current()
        return item if item is not None and self._ready() else None

    def _answered(self, item: Item, attempt: int, answer: Answer) -> None:
        with self._changed:
            # A late answer to an earlier attempt counts, as long as it is for this item.
            if self._queue.current() is not item or not self._counts(attempt, answer):
                return
            self._in_flight = False
            afterwards = self._settle(item, answer)
            self._changed.notify_all()
        afterwards()
        self._wake()

    def _counts(self, attempt: int, answer: Answer) -> bool:
        return answer.code == ErrorCode.OK or attempt == self._attempt

    def _settle(self, item: Item, answer: Answer) -> Callable[[], object]:
        self._internal_errors += answer.code == ErrorCode.INTERNAL
        given_up = self._internal_errors >= INTERNAL_ATTEMPTS
        if answer.code == ErrorCode.OK:
            self._reset()
            return self._queue.done(item, answer.sequence)
        if answer.code == ErrorCode.INVALID_ARGUMENT or given_up:
            self._reset()
            return self._queue.refuse(item, _error(answer))
        self._due_s = self._clock() + self._delays.next()
        return _nothing

    def _reset(self) -> None:
        self._deadlines.reset()
        self._delays.reset()
        self._internal_errors = 0


def _error(answer: Answer) -> AssistantError:
    try:
        code = ErrorCode(answer.code)
    except ValueError:
        code = ErrorCode.INTERNAL
    return AssistantError(code, answer.message)


def _nothing() -> None:
    """Nothing is left to do."""
