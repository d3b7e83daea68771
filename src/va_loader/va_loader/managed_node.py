# SPDX-License-Identifier: Apache-2.0
"""One managed node: process, lifecycle and health as one thing that starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from va_common.health import HealthState
from va_common.races import cancel, first, within
from va_loader.failures import NodeFailure
from va_loader.health_watcher import HealthWatcher, Tell
from va_loader.procfs import is_starved, Sample, STOPPED

PROCESS_TIMEOUT_S = 10.0
"""From the start of the process until its lifecycle services answer: 1 s on an idle machine."""
LAST_LOOK_S, WORKING_S = 1.0, 0.2
"""A process that works for so little of the last moment before a deadline waits for no core."""
STARVED_FACTOR = 3.0
"""By how much a deadline moves, once, for a node that other programs keep from the cores."""
QUIESCE_TIMEOUT_S = 0.8
"""Deactivate and cleanup on the way down."""
REAP_TIMEOUT_S = 1.2
"""From SIGINT to SIGTERM; half of it more to SIGKILL."""
HALF_WAY_REAP_TIMEOUT_S = 0.4
"""The same for a node that loads its models: it has nothing to put in order yet."""


LOOK_S, FROZEN_LOOKS = 0.5, 2
"""How often a process that starts is looked at, and for how many looks it may be stopped."""


class Process(Protocol):
    """A child process; see :class:`va_loader.proc_supervisor.ChildProcess`."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""

    @property
    def last_error(self) -> str:
        """The last line that it wrote about an error; empty: none."""

    @property
    def ended_by(self) -> str:
        """Why it ended; empty while it runs."""

    def look(self) -> Sample:
        """What it has done so far."""

    async def exited(self) -> str:
        """Wait for the end and return its reason."""

    def interrupt(self) -> None:
        """Ask it to end in order."""

    def terminate(self) -> None:
        """End it while it has nothing to put in order yet."""

    async def stop(self, timeout_s: float) -> None:
        """Wait for the end, SIGTERM after ``timeout_s``, SIGKILL after half as long again."""


class Lifecycle(Protocol):
    """Transitions of one node; see :class:`va_loader.lifecycle_client.LifecycleClient`."""

    async def available(self) -> None:
        """Wait until the node answers."""

    async def configure(self) -> None:
        """To inactive; raises NodeFailure when refused."""

    async def activate(self) -> None:
        """To active; raises NodeFailure when refused."""

    async def go_down(self) -> None:
        """To unconfigured, as far as it can be moved; raises NodeFailure when refused."""

    async def deactivate(self) -> None:
        """To inactive; raises NodeFailure when refused."""


class ManagedNode:
    """A node under the loader.

    Args:
        name: of node and process.
        spawn: starts the process.
        lifecycle: its transitions; each raises NodeFailure when refused.
        health: its checks.
        log: told (level, line).
    """

    def __init__(self, name: str, spawn: Callable[[], Process], lifecycle: Lifecycle,
                 health: Callable[[Process], HealthWatcher],
                 log: Callable[[str, str], None]) -> None:
        self.name = name
        self._spawn = spawn
        self._lifecycle = lifecycle
        self._make_health = health
        self._log = log
        self._process: Process | None = None
        self._step = 'process'
        self._answers = False
        """Whether the process has come so far that its node answers."""
        self._is_up = False
        self._is_let_go = False
        """Whether the end of the process is meant to be."""

    @property
    def pid(self) -> int:
        """Process id; 0 while none runs."""
        return self._process.pid if self._process and self._process.alive else 0

    def spawn(self) -> None:
        """Start the process if it does not run."""
        if self.pid:
            return
        if self._process is not None and not self._is_let_go:
            self._log('error', f'{self.name} is lost: {self._process.ended_by} before its phase '
                               f'began; started anew')
        self._process = self._spawn()
        self._answers = self._is_up = self._is_let_go = False

    async def load(self, timeout_s: float) -> None:
        """From the process to configured: :meth:`start` goes on from there.

        Args:
            timeout_s: for configure, once the process answers.

        Raises:
            NodeFailure: it ended, refused or took too long.
        """
        await self._let_answer()
        await self._within(self._configure(), timeout_s)

    async def start(self, timeout_s: float) -> None:
        """From the process, or however far it is, to SERVING.

        Args:
            timeout_s: for configure, activate and SERVING together, once the process answers.

        Raises:
            NodeFailure: it ended, refused a transition or took too long.
        """
        await self._let_answer()
        await self._within(self._make_ready(), timeout_s)
        self._is_up = True

    async def _let_answer(self) -> None:
        self.spawn()
        self._step = 'process'
        await self._within(self._lifecycle.available(), PROCESS_TIMEOUT_S)
        self._answers = True

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return bool(self.pid)

    async def lost(self, tell: Tell) -> str:
        """Return, with the reason, once the running node has crashed, hung or stopped serving.

        ``tell`` hears of a device that it waits for, see :class:`HealthWatcher`.
        """
        process = self._require_process()
        watch = asyncio.ensure_future(self._make_health(process).lost(tell))
        end = asyncio.ensure_future(process.exited())
        return await first(watch, end)

    async def healthy(self) -> bool:
        """Whether it serves at this moment."""
        return bool(self.pid) and await self._make_health(self._require_process()).healthy()

    async def problem(self) -> str:
        """Why it does not serve at this moment; empty: it does."""
        said = await self._make_health(self._require_process()).ask()
        return '' if said.state is HealthState.SERVING else said.problem or said.state.value

    async def disarm(self) -> None:
        """Deactivate for as long as a node that it needs is away; never raises."""
        await self._quietly('deactivate', self._lifecycle.deactivate())

    async def arm(self, timeout_s: float) -> None:
        """Activate again. Raises NodeFailure."""
        self._step = 'activate'
        await self._within(self._activate(), timeout_s)

    async def quiesce(self) -> None:
        """Deactivate, clean up, ask the process to end. Bounded in time, never raises."""
        self._is_let_go = True
        if not self.pid:
            return
        process = self._require_process()
        if not self._answers:
            process.terminate()
            return
        await self._quietly('stop', self._lifecycle.go_down())
        process.interrupt()

    async def reap(self) -> None:
        """Wait for the end of the process, by force if need be. Bounded, never raises."""
        self._is_let_go = True
        if self._process is not None:
            limit_s = REAP_TIMEOUT_S if self._is_up else HALF_WAY_REAP_TIMEOUT_S
            await self._process.stop(limit_s)

    async def kill(self) -> None:
        """End a lost process at once, with its whole group. Bounded, never raises."""
        self._is_let_go = True
        if self._process is not None:
            await self._process.stop(0.0)

    async def _make_ready(self) -> None:
        await self._configure()
        await self._activate()

    async def _configure(self) -> None:
        self._step = 'configure'
        await self._lifecycle.configure()

    async def _activate(self) -> None:
        self._step = 'activate'
        await self._lifecycle.activate()
        self._step = 'serving'
        await self._make_health(self._require_process()).serving()

    async def _quietly(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await within(QUIESCE_TIMEOUT_S, work)
        except asyncio.TimeoutError:
            self._log('warning', f'{self.name}: {what} took more than {QUIESCE_TIMEOUT_S:g} s')
        except NodeFailure as failure:
            self._log('warning', str(failure))

    async def _within(self, work: Coroutine[Any, Any, None], timeout_s: float) -> None:
        """Run a part of the start; a dead or frozen process or the end of the time fails it."""
        process = self._require_process()
        task = asyncio.ensure_future(work)
        end = asyncio.ensure_future(first(process.exited(), _frozen(process)))
        try:
            limit_s = await self._await_either(task, end, timeout_s)
            if end.done():
                raise self._failure(end.result())
            if not task.done():
                raise self._failure(f'not done after {limit_s:g} s')
            await self._raise_of(task)
        finally:
            await cancel(task, end)

    async def _await_either(self, task: asyncio.Future[None], end: asyncio.Future[str],
                            timeout_s: float) -> float:
        """Wait for one of both; returns the seconds that were given in the end."""
        process = self._require_process()
        before = process.look()
        look_s = min(LAST_LOOK_S, timeout_s / 2)
        await asyncio.wait((task, end), timeout=timeout_s - look_s,
                           return_when=asyncio.FIRST_COMPLETED)
        late = process.look()
        await asyncio.wait((task, end), timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
        after = process.look()
        works = after.worked_s - late.worked_s >= WORKING_S * look_s
        if task.done() or end.done() or not (works and is_starved(before, after)):
            return timeout_s
        limit_s = STARVED_FACTOR * timeout_s
        self._log('warning', f'{self.name}: {self._step} is not done after {timeout_s:g} s, other '
                             f'programs hold the cores; given {limit_s:g} s')
        await asyncio.wait((task, end), timeout=limit_s - timeout_s,
                           return_when=asyncio.FIRST_COMPLETED)
        return limit_s

    async def _raise_of(self, task: asyncio.Future[None]) -> None:
        error = task.exception()
        if isinstance(error, NodeFailure):
            said = await self._make_health(self._require_process()).ask()
            if said.problem and said.problem != 'not active':
                raise NodeFailure(self.name, self._step, said.problem, said.waits_for_device)
            raise self._failure(error.reason)
        if error is not None:
            raise error

    def _failure(self, reason: str) -> NodeFailure:
        last = self._require_process().last_error
        return NodeFailure(self.name, self._step, f'{reason}; {last}' if last else reason)

    def _require_process(self) -> Process:
        assert self._process is not None, f'{self.name} has no process'
        return self._process


async def _frozen(process: Process) -> str:
    """Return, with the reason, once the process has been stopped for a while."""
    looks = 0
    while looks < FROZEN_LOOKS:
        await asyncio.sleep(LOOK_S)
        looks = looks + 1 if process.look().state in STOPPED else 0
    return f'frozen for {FROZEN_LOOKS * LOOK_S:g} s'
