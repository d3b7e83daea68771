# SPDX-License-Identifier: Apache-2.0
"""Carries events from ROS callbacks to the dialog manager: a bounded queue, one thread, timers."""

from __future__ import annotations

from collections.abc import Callable
import queue
import threading
import time

from va_common.errors import error_of
from va_loader.dialog_commands import CancelTimer, Command, SetTimer
from va_loader.dialog_events import Event, TimerFired

Handle = Callable[[Event, float], list[Command]]
_IDLE_S = 0.5
"""Longest wait for an event: a healthy bus turns at least so often."""


class Timers:
    """Named timers of the dialog manager; at most one per name."""

    def __init__(self) -> None:
        self._set: dict[str, SetTimer] = {}

    def set(self, timer: SetTimer) -> None:
        """Set or replace a timer."""
        self._set[timer.name] = timer

    def cancel(self, name: str) -> None:
        """Forget a timer; nothing happens when it is not set."""
        self._set.pop(name, None)

    def next_at(self) -> float | None:
        """When the next one is due; None without any."""
        return min((timer.at_s for timer in self._set.values()), default=None)

    def take_due(self, now_s: float) -> list[TimerFired]:
        """Those due at ``now_s``, earliest first; they are no longer set."""
        due = sorted((t for t in self._set.values() if t.at_s <= now_s), key=lambda t: t.at_s)
        for timer in due:
            del self._set[timer.name]
        return [TimerFired(timer.name, timer.token) for timer in due]


class EventBus:
    """Runs the dialog manager in a thread of its own; the owner calls :meth:`stop`.

    Args:
        handle: the manager: event and time (Unix seconds) to commands.
        execute: carries out one command; must not block.
        on_error: told in one line what went wrong: an event dropped, a handler that raised.
        clock: Unix seconds.
        maxsize: events that may wait.
    """

    def __init__(self, handle: Handle, execute: Callable[[Command], None],
                 on_error: Callable[[str], None], clock: Callable[[], float] = time.time,
                 maxsize: int = 512) -> None:
        self._handle = handle
        self._execute = execute
        self._on_error = on_error
        self._clock = clock
        self._events: queue.Queue[Event | None] = queue.Queue(maxsize)
        self._timers = Timers()
        self.turns = 0
        """Advances at least every half second while the thread is well."""
        self._thread = threading.Thread(target=self._run, name='event_bus', daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Begin to handle events."""
        self._thread.start()

    def post(self, event: Event) -> None:
        """Queue an event, from any thread, without blocking; with a full queue it is dropped."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.dropped += 1
            self._on_error(f'event queue is full ({self._events.maxsize}): '
                           f'{type(event).__name__} dropped, {self.dropped} so far')

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread after the events that are queued; idempotent."""
        if not self._thread.is_alive():
            return
        try:
            self._events.put(None, timeout=timeout_s)
        except queue.Full:
            self._on_error('event bus: its queue stays full, thread left behind')
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self.turns += 1
            for fired in self._timers.take_due(self._clock()):
                self._step(fired)
            try:
                event = self._events.get(timeout=self._wait_s())
            except queue.Empty:
                continue
            if event is None:
                return
            self._step(event)

    def _wait_s(self) -> float:
        next_at = self._timers.next_at()
        return _IDLE_S if next_at is None else min(_IDLE_S, max(0.0, next_at - self._clock()))

    def _step(self, event: Event) -> None:
        try:
            for command in self._handle(event, self._clock()):
                self._do(command)
        except Exception as error:
            name = type(event).__name__
            self._on_error(f'dialog: {name} could not be handled: {error_of(error).message}')

    def _do(self, command: Command) -> None:
        if isinstance(command, SetTimer):
            self._timers.set(command)
        elif isinstance(command, CancelTimer):
            self._timers.cancel(command.name)
        else:
            self._execute(command)
