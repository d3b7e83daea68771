# SPDX-License-Identifier: Apache-2.0
"""Watches the running nodes and restarts each alone, within its budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from va_common.retry_backoff import Backoff, RestartBudget
from va_loader.failures import FatalError, NodeFailure
from va_loader.node_specs import SPECS

HEALTHY_S = 60.0
"""After so long without trouble the pauses begin again with the first."""
WINDOW_S = 60.0
ARM_TIMEOUT_S = 5.0
NEEDS_DOUBT_S = 5.0
"""How long a node without what it needs is given until that is found lost."""


class RunningNode(Protocol):
    """One node, as its restarts see it; see :class:`va_loader.managed_node.ManagedNode`."""

    def spawn(self) -> None:
        """Start its process if it does not run."""

    async def start(self, timeout_s: float) -> None:
        """From the process to SERVING. Raises NodeFailure."""

    async def lost(self) -> str:
        """Return, with the reason, once it is lost."""

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
        on_lost: told (name, reason).
        on_back: told the name.
        log: told (level, line).
    """

    def __init__(self, nodes: Mapping[str, RunningNode], timeouts_s: Mapping[str, float],
                 backoff_s: Sequence[float], limit: int, on_lost: Callable[[str, str], None],
                 on_back: Callable[[str], None], log: Callable[[str, str], None]) -> None:
        self._nodes = nodes
        self._timeouts_s = timeouts_s
        self._backoffs = {name: Backoff(backoff_s) for name in nodes}
        self._budgets = {name: RestartBudget(limit, WINDOW_S) for name in nodes}
        self._limit = limit
        self._on_lost = on_lost
        self._on_back = on_back
        self._log = log
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
            self._presence.set(name, False)
            self._on_lost(name, reason)
            await self._restart(name, reason)
            up_since = loop.time()
            self._presence.set(name, True)
            self._on_back(name)

    async def _trouble(self, name: str) -> str | None:
        """Wait until a node is lost and return why; None: it was disarmed for a while."""
        needs = SPECS[name].needs
        lost = asyncio.ensure_future(self._nodes[name].lost())
        away = asyncio.ensure_future(self._presence.one_away(needs))
        try:
            await asyncio.wait((lost, away), return_when=asyncio.FIRST_COMPLETED)
            if not away.done() and not await self._all_healthy(needs):
                # It starves because of a node that is about to be found lost itself.
                await asyncio.wait((away,), timeout=NEEDS_DOUBT_S)
            if not away.done():
                return lost.result()
        finally:
            lost.cancel()
            away.cancel()
            await asyncio.gather(lost, away, return_exceptions=True)
        return await self._sit_out(name, needs)

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
        node = self._nodes[name]
        while True:
            self._log('error', f'{name} is lost: {reason}')
            await node.kill()
            if not self._budgets[name].use(asyncio.get_running_loop().time()):
                raise FatalError(f'{name} needed more than {self._limit} restarts in '
                                 f'{WINDOW_S:g} s, last: {reason}')
            pause_s = self._backoffs[name].next()
            self._log('warning', f'{name} is restarted in {pause_s:g} s')
            node.spawn()
            await asyncio.sleep(pause_s)
            await self._presence.all_up(SPECS[name].needs)
            try:
                await node.start(self._timeouts_s[name])
                return
            except NodeFailure as failure:
                reason = str(failure)
