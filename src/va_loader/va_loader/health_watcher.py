# SPDX-License-Identifier: Apache-2.0
"""Tells a node that does its work from one that is frozen, wedged or only busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from va_common.health import HealthState
from va_loader.procfs import Activity, activity, Sample

CHECK_TIMEOUT_S = 1.0
RECHECK_S = 0.5
"""Pause between checks while a node does not answer well."""


@dataclass(frozen=True)
class Grace:
    """How long, in seconds, each trouble may last before the node is taken for lost."""

    frozen_s: float = 1.0
    not_serving_s: float = 2.0
    silent_s: float = 2.0
    """Does not answer, and its process sleeps."""
    busy_s: float = 30.0
    """Does not answer or serve, but its process computes or waits for a core."""


class HealthJudge:
    """Decides from successive checks whether a node is lost. Knows no clock."""

    def __init__(self, grace: Grace) -> None:
        self._grace = grace
        self._bad_since: float | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether the last check was bad."""
        return self._bad_since is not None

    def judge(self, now_s: float, state: HealthState, doing: Activity,
              check_s: float = 0.0) -> str | None:
        """Take one check that took ``check_s``; the reason once the node is lost, else None."""
        if state is HealthState.SERVING and doing is not Activity.FROZEN:
            self._bad_since = None
            return None
        if self._bad_since is None:
            self._bad_since = now_s - check_s
        trouble, grace_s = self._trouble(state, doing)
        lasted_s = now_s - self._bad_since
        return f'{trouble} for {lasted_s:.1f} s' if lasted_s >= grace_s else None

    def excuse(self, late_s: float) -> None:
        """The checker itself was late: that time does not count against the node."""
        if self._bad_since is not None:
            self._bad_since += late_s

    def _trouble(self, state: HealthState, doing: Activity) -> tuple[str, float]:
        if doing is Activity.FROZEN:
            return 'frozen', self._grace.frozen_s
        if doing is Activity.BUSY:
            return f'{state.name} (busy)', self._grace.busy_s
        if state is HealthState.NOT_SERVING:
            return 'NOT_SERVING', self._grace.not_serving_s
        return 'no answer to health checks', self._grace.silent_s


class HealthWatcher:
    """Checks one process again and again.

    Args:
        check: asks the process once; answers within :data:`CHECK_TIMEOUT_S`.
        look: samples the process.
        is_frozen: whether it is stopped; asked more often than ``check``.
        interval_s: pause between checks while all is well.
        grace: how much is forgiven.
    """

    def __init__(self, check: Callable[[], Awaitable[HealthState]], look: Callable[[], Sample],
                 is_frozen: Callable[[], bool], interval_s: float,
                 grace: Grace = Grace()) -> None:
        self._check = check
        self._look = look
        self._is_frozen = is_frozen
        self._interval_s = interval_s
        self._grace = grace

    async def serving(self, poll_s: float = 0.05) -> None:
        """Return once the process says SERVING; the caller has the deadline."""
        while await self._check() is not HealthState.SERVING:
            await asyncio.sleep(poll_s)

    async def healthy(self) -> bool:
        """Whether the process serves at this moment."""
        return not self._is_frozen() and await self._check() is HealthState.SERVING

    async def lost(self) -> str:
        """Return, with the reason, once the node is lost."""
        judge = HealthJudge(self._grace)
        loop = asyncio.get_running_loop()
        before, before_s = self._look(), loop.time()
        while True:
            judge.excuse(await self._pause(judge.in_doubt))
            asked_s = loop.time()
            state = await self._check()
            after, after_s = self._look(), loop.time()
            doing = activity(before, after, after_s - before_s)
            before, before_s = after, after_s
            reason = judge.judge(after_s, state, doing, after_s - asked_s)
            if reason is not None:
                return reason

    async def _pause(self, in_doubt: bool) -> float:
        """Wait for the next check, less long for a frozen process; by how much we were late."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + (min(RECHECK_S, self._interval_s) if in_doubt else self._interval_s)
        while loop.time() < end_s:
            step_s = min(RECHECK_S, end_s - loop.time())
            wanted_s = loop.time() + step_s
            await asyncio.sleep(step_s)
            late_s = loop.time() - wanted_s
            if late_s > RECHECK_S:
                return late_s
            if self._is_frozen() and not in_doubt:
                return 0.0
        return 0.0
