# SPDX-License-Identifier: Apache-2.0
"""Tells a node that does its work from one that is frozen, wedged or only busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from va_common.health import Health, HealthState
from va_loader.procfs import Activity, activity, Sample

CHECK_TIMEOUT_S = 1.0
RECHECK_S = 0.25
"""Pause between checks while a node does not answer well."""
FROZEN_LOOK_S = 0.5
WAITING_CHECK_S = 0.5
"""Pause between checks while a node waits for its device."""

Tell = Callable[[str | None], None]
"""Told why a node waits for its device, and None when it has it."""


def _nobody(reason: str | None) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Grace:
    """How long, in seconds, each trouble may last before the node is taken for lost."""

    frozen_s: float = 1.0
    not_serving_s: float = 2.0
    """It answers, and says that it does not do its work."""
    silent_s: float = 2.0
    """It does not answer, though it has the cores that it wants."""
    starved_s: float = 30.0
    """Whatever it says: it waits for cores that others have."""


class HealthJudge:
    """Decides from successive checks whether a node is lost. Knows no clock."""

    def __init__(self, grace: Grace) -> None:
        self._grace = grace
        self._last_s: float | None = None
        self._bad_s = self._starved_s = 0.0

    @property
    def in_doubt(self) -> bool:
        """Whether the last check was bad."""
        return self._last_s is not None

    def judge(self, now_s: float, health: Health, doing: Activity,
              check_s: float = 0.0) -> str | None:
        """Take one check that took ``check_s``; the reason once the node is lost, else None."""
        if doing is not Activity.FROZEN and (
                health.state is HealthState.SERVING or health.waits_for_device):
            self._last_s = None
            self._bad_s = self._starved_s = 0.0
            return None
        trouble, grace_s = self._trouble(health, doing)
        if self._last_s is None:
            # What it has known for longer is confirmed by one more check.
            step_s = check_s + min(health.since_s, grace_s - RECHECK_S)
        else:
            step_s = now_s - self._last_s
        self._last_s = now_s
        lasted_s = self._add(step_s, doing)
        return f'{trouble} for {lasted_s:.1f} s' if lasted_s >= grace_s else None

    def excuse(self, late_s: float) -> None:
        """The checker itself was late: that time does not count against the node."""
        if self._last_s is not None:
            self._last_s += late_s

    def _add(self, step_s: float, doing: Activity) -> float:
        """Starving counts by itself: what is over does not shorten the patience after it."""
        if doing is Activity.STARVED:
            self._starved_s += step_s
            return self._starved_s
        self._bad_s += step_s
        return self._bad_s

    def _trouble(self, health: Health, doing: Activity) -> tuple[str, float]:
        if doing is Activity.FROZEN:
            return 'frozen (stopped by a signal)', self._grace.frozen_s
        silent = health.state is not HealthState.NOT_SERVING
        words = 'no answer to health checks' if silent else health.problem or 'NOT_SERVING'
        if doing is Activity.STARVED:
            return f'{words} (other programs hold the cores)', self._grace.starved_s
        return words, self._grace.silent_s if silent else self._grace.not_serving_s


class HealthWatcher:
    """Checks one process again and again.

    Args:
        check: asks the process once; answers within :data:`CHECK_TIMEOUT_S`.
        look: samples the process.
        is_frozen: whether it is stopped; asked more often than ``check``.
        interval_s: pause between checks while all is well.
        grace: how much is forgiven.
        look_at_self: samples the checker; while it starves, nobody is blamed.
    """

    def __init__(self, check: Callable[[], Awaitable[Health]], look: Callable[[], Sample],
                 is_frozen: Callable[[], bool], interval_s: float, grace: Grace = Grace(),
                 look_at_self: Callable[[], Sample] = lambda: Sample('R', 0.0, 0.0)) -> None:
        self._check = check
        self._look = look
        self._is_frozen = is_frozen
        self._interval_s = interval_s
        self._grace = grace
        self._look_at_self = look_at_self

    async def serving(self, poll_s: float = 0.05) -> None:
        """Return once the process says SERVING; the caller has the deadline."""
        while (await self._check()).state is not HealthState.SERVING:
            await asyncio.sleep(poll_s)

    async def ask(self) -> Health:
        """What the process says at this moment."""
        return await self._check()

    async def healthy(self) -> bool:
        """Whether the process serves at this moment."""
        return not self._is_frozen() and (await self._check()).state is HealthState.SERVING

    async def lost(self, tell: Tell = _nobody) -> str:
        """Return, with the reason, once the node is lost.

        Args:
            tell: told of a node that is well but for its device: it is not lost.
        """
        judge = HealthJudge(self._grace)
        loop = asyncio.get_running_loop()
        before, before_s = self._samples(), loop.time()
        waits = ''
        while True:
            judge.excuse(await self._pause(judge.in_doubt, bool(waits)))
            asked_s = loop.time()
            health = await self._check()
            after, after_s = self._samples(), loop.time()
            doing = _doing(before, after, after_s - before_s)
            before, before_s = after, after_s
            reason = judge.judge(after_s, health, doing, after_s - asked_s)
            if reason is not None:
                return reason
            waits = _tell(tell, waits, health)

    def _samples(self) -> tuple[Sample, Sample]:
        return self._look(), self._look_at_self()

    async def _pause(self, in_doubt: bool, waits: bool) -> float:
        """Wait for the next check, less long for a frozen process; by how much we were late."""
        loop = asyncio.get_running_loop()
        pause_s = RECHECK_S if in_doubt else WAITING_CHECK_S if waits else self._interval_s
        end_s = loop.time() + min(pause_s, self._interval_s)
        while loop.time() < end_s:
            step_s = min(FROZEN_LOOK_S, end_s - loop.time())
            wanted_s = loop.time() + step_s
            await asyncio.sleep(step_s)
            late_s = loop.time() - wanted_s
            if late_s > FROZEN_LOOK_S:
                return late_s
            if self._is_frozen() and not in_doubt:
                return 0.0
        return 0.0


def _doing(before: tuple[Sample, Sample], after: tuple[Sample, Sample],
           span_s: float) -> Activity:
    doing, own = (activity(was, now, span_s) for was, now in zip(before, after, strict=True))
    if own is Activity.STARVED and doing is not Activity.FROZEN:
        return own
    return doing


def _tell(tell: Tell, waits: str, health: Health) -> str:
    """Tell of a change; what it waits for now, empty for nothing."""
    if health.waits_for_device:
        if health.problem != waits:
            tell(health.problem)
        return health.problem
    if health.state is HealthState.SERVING and waits:
        tell(None)
        return ''
    return waits
