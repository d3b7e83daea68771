# SPDX-License-Identifier: Apache-2.0
"""The table of managed nodes and the order in which they come up."""

from __future__ import annotations

from dataclasses import dataclass

from va_common.ports import PORTS


@dataclass(frozen=True)
class NodeSpec:
    """One managed node and its process."""

    name: str
    """Process, node and settings section."""
    phase: str
    """Phase of architecture §2 in which it comes up."""
    needs: tuple[str, ...] = ()
    """Nodes without which it is not armed."""

    @property
    def module(self) -> str:
        """What ``python -m`` runs."""
        return f'va_{self.name}.main'

    def port(self, offset: int) -> int:
        """Its gRPC health port."""
        return PORTS[self.name] + offset


@dataclass(frozen=True)
class Phase:
    """Nodes that come up together, and roll back together."""

    name: str
    nodes: tuple[str, ...]
    timeout_s: float
    """From the first transition until all are SERVING."""


SPECS: dict[str, NodeSpec] = {
    spec.name: spec for spec in (
        NodeSpec('logger', 'boot'),
        NodeSpec('tts', 'phase1'),
        NodeSpec('llm', 'phase1'),
        NodeSpec('stt', 'phase2'),
        NodeSpec('kwd', 'phase3', needs=('stt',)),
    )
}
"""By name, in start-up order."""

_PHASES = ('boot', 'phase1', 'phase2', 'phase3')


def plan(startup_mode: str, parallel_timeout_s: float, timeout_s: float) -> tuple[Phase, ...]:
    """The phases of a start-up.

    Args:
        startup_mode: ``phased_parallel``, or ``sequential``: every node a step of its own.
        parallel_timeout_s: for phase 1; shared by its nodes when they start in parallel.
        timeout_s: for every other phase.

    Raises:
        ValueError: another mode.
    """
    if startup_mode not in ('phased_parallel', 'sequential'):
        raise ValueError(
            f'startup_mode {startup_mode!r}: expected phased_parallel or sequential')
    phases: list[Phase] = []
    for name in _PHASES:
        nodes = tuple(spec.name for spec in SPECS.values() if spec.phase == name)
        limit = parallel_timeout_s if name == 'phase1' else timeout_s
        groups = [nodes] if startup_mode == 'phased_parallel' else [(node,) for node in nodes]
        phases.extend(Phase(name, group, limit) for group in groups)
    return tuple(phases)

