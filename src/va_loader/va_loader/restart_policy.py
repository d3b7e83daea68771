# SPDX-License-Identifier: Apache-2.0
"""Watches the running nodes and restarts each alone, within its budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from va_common.races import cancel
from va_common.retry_backoff import Backoff, RestartBudget
from va_loader.failures import FatalError, NodeFailure
from va_loader.node_specs import SPECS

HEALTHY_S = 60.0
"""After so long without trouble the pauses begin again with the first."""
WINDOW_S = 60.0
ARM_TIMEOUT_S = 5.0
NEEDS_DOUBT_S = 5.0
"""How long a node without what it needs is given until that is found lost."""
NEEDS_POLL_S = 0.5
MENDING_LOOKS = 4
DEVICE_RETRY_S = 5.0
"""Pause before a restarted node without its device tries to configure again."""


class RunningNode(Protocol):
    """One node, as its restarts see it; see :class:`va_loader.managed_node.ManagedNode`."""

    def spawn(self) -> None:
        """Start its process if it does not run."""

    async def load(self, timeout_s: float) -> None:
        """From the process to configured. Raises NodeFailure."""

    async def start(self, timeout_s: float) -> None:
        """From however far it is to SERVING. Raises NodeFailure."""

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""

    async def lost(self, tell: Callable[[str | None], None]) -> str:
        """Return, with the reason, once it is lost; ``tell`` hears of a device it waits for."""

    async def healthy(self) -> bool:
        """Whether it serves at this moment."""

    async def disarm(self) -> None:
        """Deactivate it; never raises."""

    async def arm(self, timeout_s: float) -> None:
        """Activate it again. Raises NodeFailure."""

    async def kill(self) -> None:
        """End its process at once; never raises."""


class Presence:
    """Which nodes are up, to wait for."""

    def __init__(self, names: Iterable[str]) -> None:
        self._up = {name: asyncio.Event() for name in names}
        self._away = {name: asyncio.Event() for name in self._up}
        for name in self._up:
            self.set(name, False)

    def set(self, name: str, up: bool) -> None:
        """Note that a node went away or came back."""
        yes, no = self._up[name], self._away[name]
        if not up:
            yes, no = no, yes
        yes.set()
        no.clear()

    async def all_up(self, names: Sequence[str]) -> None:
        """Wait until every one of ``names`` is up."""
        while not all(self._up[name].is_set() for name in names):
            for name in names:
                await self._up[name].wait()

    async def one_away(self, names: Sequence[str]) -> None:
        """Wait until one of ``names`` is away; for ever without names."""
        waits = [asyncio.ensure_future(self._away[name].wait()) for name in names]
        waits = waits or [asyncio.ensure_future(asyncio.Event().wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class RestartPolicy:
    """Keeps the nodes of a running assistant alive.

    Args:
        nodes: by name.
        timeouts_s: for each node's start.
        backoff_s: pauses before the restarts.
        limit: restarts of one node within 60 s; one more is fatal.
        on_lost: told (name, reason); it is restarted.
        on_back: told the name; it works again.
        on_waits: told (name, reason): it cannot work without its device, and is left alone.
        log: told (level, line).
    """

    def __init__(self, nodes: Mapping[str, RunningNode], timeouts_s: Mapping[str, float],
                 backoff_s: Sequence[float], limit: int, on_lost: Callable[[str, str], None],
                 on_back: Callable[[str], None], log: Callable[[str, str], None],
                 on_waits: Callable[[str, str], None] = lambda name, reason: None) -> None:
        self._nodes = nodes
        self._timeouts_s = timeouts_s
        self._backoffs = {name: Backoff(backoff_s) for name in nodes}
        self._budgets = {name: RestartBudget(limit, WINDOW_S) for name in nodes}
        self._limit = limit
        self._on_lost = on_lost
        self._on_back = on_back
        self._on_waits = on_waits
        self._log = log
        self._waiting: dict[str, str] = {}
        self._presence = Presence(nodes)
        self._tasks: list[asyncio.Future[None]] = []
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, names: Sequence[str]) -> None:
        """These nodes are up: keep them so."""
        for name in names:
            self._presence.set(name, True)
            task = asyncio.ensure_future(self._keep(name))
            self._tasks.append(task)
            task.add_done_callback(self._on_end)

    async def watch(self) -> None:
        """Wait, until cancelled, for what cannot be mended.

        Raises:
            FatalError: a node needed more restarts than its budget allows.
        """
        await asyncio.shield(self._broken)

    async def stop(self) -> None:
        """Stop watching: what ends from now on is meant to."""
        await cancel(*self._tasks)
        if not self._broken.done():
            self._broken.cancel()

    def _on_end(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and not self._broken.done():
            error = task.exception()
            assert error is not None, 'a watch ended by itself'
            self._broken.set_exception(error)

    async def _keep(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        up_since = loop.time()
        while True:
            reason = await self._trouble(name)
            if reason is None:
                continue
            if loop.time() - up_since >= HEALTHY_S:
                self._backoffs[name].reset()
            self._waiting.pop(name, None)
            self._presence.set(name, False)
            self._on_lost(name, f'{reason}; restarting it, {self._attempt(name)}')
            await self._restart(name, reason)
            up_since = loop.time()
            self._presence.set(name, True)
            self._on_back(name)

    def _attempt(self, name: str) -> str:
        used = self._budgets[name].used(asyncio.get_running_loop().time())
        return f'attempt {min(used + 1, self._limit)} of {self._limit}'

    async def _trouble(self, name: str) -> str | None:
        """Wait until a node is lost and return why; None: it was not its fault, all is well."""
        needs = SPECS[name].needs
        lost = asyncio.ensure_future(self._nodes[name].lost(partial(self._tell, name)))
        away = asyncio.ensure_future(self._presence.one_away(needs))
        try:
            await asyncio.wait((lost, away), return_when=asyncio.FIRST_COMPLETED)
            if not away.done() and await self._sit_out_trouble(name, needs, away):
                return None
            if not away.done():
                return lost.result()
        finally:
            await cancel(lost, away)
        return await self._sit_out(name, needs)

    async def _sit_out_trouble(self, name: str, needs: Sequence[str],
                               away: asyncio.Future[None]) -> bool:
        """Give a node time that may starve because of what it needs; whether that was it."""
        if not self._nodes[name].running or await self._all_healthy(needs):
            return False
        # It starves because of a node that is about to be found lost itself, or that waits.
        await asyncio.wait((away,), timeout=NEEDS_DOUBT_S)
        if away.done():
            return False
        if not any(need in self._waiting for need in needs):
            # What it needs has mended itself: so may the node have.
            return await self._mends(name, away)
        self._log('info', f'{name} is not to blame: {" and ".join(needs)} waits for what it needs')
        while not away.done() and self._nodes[name].running \
                and not await self._all_healthy(needs):
            await asyncio.wait((away,), timeout=NEEDS_POLL_S)
        return self._nodes[name].running and not away.done()

    async def _mends(self, name: str, away: asyncio.Future[None]) -> bool:
        """Whether a node gets well by itself within a few looks."""
        for _ in range(MENDING_LOOKS):
            if await self._nodes[name].healthy():
                return True
            await asyncio.wait((away,), timeout=NEEDS_POLL_S)
            if away.done():
                break
        return False

    def _tell(self, name: str, reason: str | None) -> None:
        """A node waits for its device, or has it again."""
        if reason is None:
            if self._waiting.pop(name, None) is not None:
                self._on_back(name)
        elif reason != self._waiting.get(name):
            self._waiting[name] = reason
            self._log('error', f'{name} waits for what it needs: {reason}')
            self._on_waits(name, reason)

    async def _all_healthy(self, names: Sequence[str]) -> bool:
        return all([await self._nodes[name].healthy() for name in names])

    async def _sit_out(self, name: str, needs: Sequence[str]) -> str | None:
        """Disarm a node until what it needs is back; the reason if it cannot be armed again."""
        self._log('info', f'{name} is disarmed while {" and ".join(needs)} is away')
        await self._nodes[name].disarm()
        await self._presence.all_up(needs)
        try:
            await self._nodes[name].arm(ARM_TIMEOUT_S)
        except NodeFailure as failure:
            return str(failure)
        self._log('info', f'{name} is armed again')
        return None

    async def _restart(self, name: str, reason: str) -> None:
        while True:
            pause_s = await self._prepare(name, reason)
            failure = await self._load(name, pause_s) or await self._start(name)
            while failure is not None and failure.waits_for_device:
                # Its process is well: only its device is away, for as long as it may be.
                self._tell(name, failure.reason)
                await asyncio.sleep(DEVICE_RETRY_S)
                failure = await self._start(name)
            if failure is None:
                self._waiting.pop(name, None)
                return
            reason = str(failure)

    async def _prepare(self, name: str, reason: str) -> float:
        """End what is left of it and start a process; the pause before it is used."""
        node = self._nodes[name]
        await node.kill()
        attempt = self._attempt(name)
        if not self._budgets[name].use(asyncio.get_running_loop().time()):
            self._log('error', f'{name} is lost: {reason}')
            raise FatalError(f'{name} needed more than {self._limit} restarts in '
                             f'{WINDOW_S:g} s, last: {reason}')
        pause_s = self._backoffs[name].next()
        self._log('error', f'{name} is lost: {reason}; restarting it in {pause_s:g} s, {attempt}')
        node.spawn()
        return pause_s

    async def _load(self, name: str, pause_s: float) -> NodeFailure | None:
        """Let it load its models during the pause; it does not work before the end of that."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + pause_s
        failure = await _failure_of(self._nodes[name].load(self._timeouts_s[name]))
        await asyncio.sleep(end_s - loop.time())
        return failure

    async def _start(self, name: str) -> NodeFailure | None:
        await self._presence.all_up(SPECS[name].needs)
        while any(need in self._waiting for need in SPECS[name].needs):
            await asyncio.sleep(NEEDS_POLL_S)
        return await _failure_of(self._nodes[name].start(self._timeouts_s[name]))


async def _failure_of(work: Coroutine[Any, Any, None]) -> NodeFailure | None:
    try:
        await work
    except NodeFailure as failure:
        return failure
    return None
