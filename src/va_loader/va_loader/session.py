# SPDX-License-Identifier: Apache-2.0
"""One life of the assistant's nodes: phases, warm-up, supervision, and the way down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from va_loader.failures import NodeFailure
from va_loader.managed_node import ManagedNode
from va_loader.node_specs import Phase
from va_loader.phase_controller import all_or_none, PhaseController, PhaseStatus
from va_loader.restart_policy import RestartPolicy
from va_loader.vram_guard import VramGuard
from va_loader.warmup import warm_up


@dataclass(frozen=True)
class SessionSettings:
    """What a session needs of the configuration."""

    plan: Sequence[Phase]
    backoff_s: Sequence[float]
    restart_limit: int
    greeting: str
    audio_device_probe: str = 'strict'
    """strict, warn or off: whether the speaker must work before the microphone is opened."""


@dataclass(frozen=True)
class Hooks:
    """Whom a session tells."""

    show: Callable[[PhaseStatus], None]
    ready: Callable[[], None]
    """Everything is up and the greeting has been spoken."""
    closed: Callable[[str], None]
    """The way down begins, for this reason."""
    lost: Callable[[str, str], None]
    back: Callable[[str], None]
    waits: Callable[[str, str], None]
    """A node waits for its device."""
    log: Callable[[str, str], None]
    speak: Callable[[str], Awaitable[None]]


class LiveSession:
    """Runs the nodes once; see :class:`va_loader.control.Session`."""

    def __init__(self, nodes: Mapping[str, ManagedNode], settings: SessionSettings,
                 guard: VramGuard, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
        self._nodes = nodes
        timeouts_s = {name: phase.timeout_s for phase in settings.plan for name in phase.nodes}
        self._policy = RestartPolicy(
            nodes, timeouts_s, settings.backoff_s, settings.restart_limit, hooks.lost,
            hooks.back, hooks.log, hooks.waits)
        self._phases = PhaseController(
            nodes, settings.plan, settings.backoff_s, guard, hooks.show, hooks.log,
            on_up=self._policy.add, prove=self._prove_speaker)

    async def run(self) -> None:
        """Bring up and supervise until cancelled. Raises FatalError."""
        try:
            await all_or_none([self._start_up(), self._policy.watch()])
        finally:
            await self._policy.stop()

    async def take_down(self) -> None:
        """Stop everything in reverse order. Bounded, never raises."""
        self._hooks.closed('the assistant is going down')
        await self._phases.take_down()

    async def _prove_speaker(self, phase: Phase) -> None:
        """The output device works before the microphone is opened. Raises NodeFailure."""
        probe = self._settings.audio_device_probe
        if 'stt' not in phase.nodes or probe == 'off':
            return
        problem = await self._nodes['tts'].problem()
        if problem and probe == 'strict':
            reason = f'the speaker must work first: {problem}'
            raise NodeFailure('stt', 'audio_device_probe', reason)
        if problem:
            self._hooks.log('warning', f'the speaker does not work: {problem}')

    async def _start_up(self) -> None:
        await self._phases.bring_up()
        await warm_up(
            self._settings.greeting, self._hooks.speak, self._settings.backoff_s,
            lambda attempt, reason: self._hooks.show(PhaseStatus('warm_up', attempt, reason)))
        self._hooks.ready()
