# SPDX-License-Identifier: Apache-2.0
"""Whether the engine works: seen in its turns, and probed after a failure or long idle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
import threading
from typing import Final

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.retry_backoff import Backoff
from va_llm.engine import Completion
from va_llm.turn_runner import TurnRunner

# Failures of the request, not of the engine.
_HARMLESS: Final = (ErrorCode.INVALID_ARGUMENT, ErrorCode.OUTDATED, ErrorCode.BUSY,
                    ErrorCode.CANCELLED)
_PROBE_DELAYS_S: Final = (0.0, 1.0, 3.0, 5.0)


class EngineHealth:
    """Health of one engine. Thread-safe.

    A turn that fails makes it suspect: it is probed at once and, should that fail too, has a
    problem until a probe or a turn succeeds.

    Args:
        runner: where probes run.
        clock: steady seconds.
    """

    def __init__(self, runner: TurnRunner, clock: Callable[[], float]) -> None:
        self._runner = runner
        self._clock = clock
        self._lock = threading.Lock()
        self._suspect_since: float | None = None
        self._problem: str | None = None
        self._delays = Backoff(_PROBE_DELAYS_S)
        self._next_probe_s = 0.0

    def problem(self) -> str | None:
        """Why the engine cannot answer; None when it can."""
        return self._runner.stuck() or self._problem

    @property
    def engine_fails(self) -> bool:
        """Whether it answers, and with errors only; not while a generation is stuck here."""
        return self._problem is not None and self._runner.stuck() is None

    def doubt(self) -> str | None:
        """Why it is not known to answer: a problem, or a failure that no probe has cleared."""
        if self._suspect_since is not None:
            return self.problem() or 'the last answer failed'
        return self.problem()

    def failed(self, error: AssistantError) -> None:
        """A turn failed."""
        if error.code in _HARMLESS:
            return
        with self._lock:
            if self._suspect_since is None:
                self._suspect_since = self._clock()
                self._next_probe_s = self._clock() + self._delays.next()

    def check(self, idle_s: float) -> None:
        """Probe if that is due; called every second.

        Args:
            idle_s: probe after so long without a generation; 0: only after failures.
        """
        now_s = self._clock()
        with self._lock:
            suspect = self._suspect_since
            if suspect is not None and self._runner.last_done > suspect:
                self._recovered()
                suspect = None
            is_due = now_s >= self._next_probe_s if suspect is not None else \
                0 < idle_s < now_s - self._runner.last_done
        if not is_due or self._runner.busy:
            return
        try:
            self._runner.probe().add_done_callback(self._probed)
        except AssistantError as error:
            self._probe_failed(error)

    def _probed(self, done: Future[Completion]) -> None:
        try:
            completion = done.result()
        except CancelledError:
            return
        except Exception as raised:
            self._probe_failed(error_of(raised))
            return
        if completion.finish_reason != 'cancelled':
            with self._lock:
                self._recovered()

    def _probe_failed(self, error: AssistantError) -> None:
        with self._lock:
            if self._suspect_since is None:
                self._suspect_since = self._clock()
            self._problem = error.message
            self._next_probe_s = self._clock() + self._delays.next()

    def _recovered(self) -> None:
        self._suspect_since = None
        self._problem = None
        self._delays.reset()
