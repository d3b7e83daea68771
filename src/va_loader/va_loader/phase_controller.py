# SPDX-License-Identifier: Apache-2.0
"""Brings the nodes up phase by phase, with deadlines, rollback and retries; takes them down.

Plain logic on asyncio: what a node is and how it starts is behind :class:`NodeControl`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from va_common.races import cancel
from va_loader.failures import FatalError, NodeFailure
from va_loader.node_specs import Phase
from va_loader.vram_guard import VramGuard


class NodeControl(Protocol):
    """One node, as the phases see it."""

    def spawn(self) -> None:
        """Start its process if it does not run: imports begin. Never blocks."""

    async def start(self, timeout_s: float) -> None:
        """From the process to SERVING. Raises NodeFailure; may be cancelled at any point."""

    async def quiesce(self) -> None:
        """Deactivate, clean up, ask the process to end. Bounded in time, never raises."""

    async def reap(self) -> None:
        """Wait for the end of the process, by force if need be. Bounded, never raises."""


@dataclass(frozen=True)
class PhaseStatus:
    """What the controller does, for ``/loader/state``."""

    phase: str
    attempt: int
    reason: str = ''
    vram: str = ''


class PhaseController:
    """Runs the phases of one plan.

    Args:
        nodes: by name, all that the plan names.
        plan: the phases in start-up order.
        backoff_s: pause before each retry; after the last one a failure is fatal.
        guard: the VRAM guardrail.
        show: told of every change.
        log: told (level, line).
        on_up: told the nodes of each phase that is up; they are supervised from then on.
        prove: asked before each attempt whether what the phase needs works; raises NodeFailure.
    """

    def __init__(self, nodes: Mapping[str, NodeControl], plan: Sequence[Phase],
                 backoff_s: Sequence[float], guard: VramGuard,
                 show: Callable[[PhaseStatus], None], log: Callable[[str, str], None],
                 on_up: Callable[[Sequence[str]], None] = lambda names: None,
                 prove: Callable[[Phase], Awaitable[None]] | None = None) -> None:
        self._nodes = nodes
        self._plan = tuple(plan)
        self._backoff_s = tuple(backoff_s)
        self._guard = guard
        self._show = show
        self._log = log
        self._on_up = on_up
        self._prove = prove
        self._vram = ''

    async def bring_up(self) -> None:
        """Bring every phase up.

        Raises:
            FatalError: a phase failed in every attempt; later phases were never touched.
        """
        self._check_vram('boot')
        for index, phase in enumerate(self._plan):
            if self._guard.applies and phase.name not in ('boot', 'phase1'):
                self._check_vram(phase.name)
            self._spawn_ahead(index)
            await self._bring_up_phase(phase)

    async def take_down(self) -> None:
        """Stop every node in reverse order; bounded in time, never raises.

        The first phase (the logger) stays until the others have ended, for their last lines.
        """
        self._show(PhaseStatus('down', 1, vram=self._vram))
        for phase in reversed(self._plan[1:]):
            await asyncio.gather(*(self._nodes[name].quiesce() for name in phase.nodes))
        later = [name for phase in self._plan[1:] for name in phase.nodes]
        await asyncio.gather(*(self._nodes[name].reap() for name in later))
        for name in self._plan[0].nodes:
            await self._nodes[name].quiesce()
            await self._nodes[name].reap()

    async def _bring_up_phase(self, phase: Phase) -> None:
        reason = ''
        for attempt, pause_s in enumerate((0.0, *self._backoff_s), start=1):
            self._show(PhaseStatus(phase.name, attempt, reason, self._vram))
            self._spawn(phase)
            await asyncio.sleep(pause_s)
            try:
                await self._attempt(phase)
                self._on_up(phase.nodes)
                return
            except NodeFailure as failure:
                reason = str(failure)
            self._log('error', f'{phase.name} failed in attempt {attempt}: {reason}')
            await self._roll_back(phase)
        attempts = 1 + len(self._backoff_s)
        hint = f' (VRAM {self._vram})' if self._vram.startswith('low') else ''
        raise FatalError(f'{phase.name} failed {attempts} times, last: {reason}{hint}')

    async def _attempt(self, phase: Phase) -> None:
        if self._prove is not None:
            await self._prove(phase)
        starts = [self._nodes[name].start for name in phase.nodes]
        if len(starts) > 1 and self._is_staggered(phase):
            for start in starts:
                await start(phase.timeout_s)
        else:
            await all_or_none([start(phase.timeout_s) for start in starts])
        self._log('info', f'{phase.name} is up: {", ".join(phase.nodes)}')

    def _is_staggered(self, phase: Phase) -> bool:
        verdict = self._guard.check_parallel()
        if verdict.enough:
            return False
        order = ', then '.join(phase.nodes)
        self._log('warning', f'{phase.name} is staggered ({order}): VRAM {verdict.text}')
        return True

    async def _roll_back(self, phase: Phase) -> None:
        nodes = [self._nodes[name] for name in reversed(phase.nodes)]
        await asyncio.gather(*(node.quiesce() for node in nodes))
        await asyncio.gather(*(node.reap() for node in nodes))

    def _spawn_ahead(self, index: int) -> None:
        """Let the imports of this phase and of the next begin."""
        for phase in self._plan[index:index + 2]:
            self._spawn(phase)

    def _spawn(self, phase: Phase) -> None:
        for name in phase.nodes:
            self._nodes[name].spawn()

    def _check_vram(self, before: str) -> None:
        verdict = self._guard.check()
        self._vram = verdict.text
        self._log('info' if verdict.enough else 'warning', f'VRAM before {before}: {verdict.text}')


async def all_or_none(starts: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines side by side; the first that raises cancels the others and is raised."""
    tasks = [asyncio.ensure_future(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        await cancel(*tasks)
