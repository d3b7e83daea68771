# SPDX-License-Identifier: Apache-2.0
"""The thread behind the call-back: deals with its reports, in order, off the audio thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import queue
import threading
from typing import Any

from va_common.errors import AssistantError, ErrorCode
from va_tts.playout import Report

MAX_REPORTS = 4096
_IDLE_S = 0.5
_BUSY_S = 0.02

Call = Callable[[], None]


class PlaybackPump:
    """Runs until :meth:`close`. What the audio thread reports never blocks it.

    Args:
        handle: takes each report.
        tick: looks at the time; tells whether something is being played.
        failed: told of an exception out of the two.
    """

    def __init__(self, handle: Callable[[Report], None], tick: Callable[[], bool],
                 failed: Callable[[Exception], None]) -> None:
        self._handle = handle
        self._tick = tick
        self._failed = failed
        self._items: queue.SimpleQueue[Report | Call | None] = queue.SimpleQueue()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name='tts_playback', daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def report(self, report: Report) -> None:
        """Take a report from the audio thread; dropped and counted when the thread is stuck."""
        if self._items.qsize() >= MAX_REPORTS:
            self.lost += 1
            return
        self._items.put(report)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Run ``function(*args)`` in the thread, after all that came before."""
        self._items.put(lambda: function(*args))

    def wake(self) -> None:
        """Look at the time soon."""
        self._items.put(_nothing)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything put in so far is dealt with.

        Raises:
            AssistantError: TIMEOUT.
        """
        done: Future[None] = Future()
        self.call(done.set_result, None)
        try:
            done.result(timeout_s)
        except TimeoutError:
            message = f'playback thread did not answer within {timeout_s:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message) from None

    def close(self, timeout_s: float = 2.0) -> None:
        """End the thread; idempotent.

        Raises:
            AssistantError: TIMEOUT.
        """
        self._items.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            message = f'playback thread did not end within {timeout_s:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message)

    def _run(self) -> None:
        wait_s = _IDLE_S
        while True:
            try:
                item = self._items.get(timeout=wait_s)
            except queue.Empty:
                item = _nothing
            if item is None:
                return
            try:
                item() if callable(item) else self._handle(item)
                wait_s = _BUSY_S if self._tick() else _IDLE_S
            except Exception as error:
                self._failed(error)


def _nothing() -> None:
    pass
