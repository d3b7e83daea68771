# SPDX-License-Identifier: Apache-2.0
"""A case, and what was seen of it. Plain data."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any


class Trouble(Exception):
    """What a case cannot go on after; the message becomes a problem of the case."""


class NotPossible(Exception):
    """This machine cannot break that: the case is skipped, with the reason."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    fault: str
    'what is broken, for a person'
    when: str
    'boot, idle, listening, thinking, speaking'
    expected: str
    'what the user of the assistant should get'
    play: Callable[[Any, Evidence], None]
    'breaks it and gathers evidence; gets (world, evidence)'
    restarts: tuple[str, ...] = ()
    'processes that it makes the product restart: their budget is respected'
    recovers: bool = True
    'whether it is to be heard again, so that there is a time to it'
    quick: bool = False
    'part of ./va test'
    config: str = 'plain'
    'which assistant it needs, see world.CONFIGS; own: it starts one itself'
    ends: bool = False
    'whether the assistant has ended afterwards'
    leaves: bool = False
    'whether its own assistant is a plain, idle one afterwards: the next cases use it'
    opt_in: bool = False
    'only when named by --only'


@dataclass
class Evidence:
    """What happened in one case; times are Unix seconds."""

    case: Case
    started_s: float = field(default_factory=time.time)
    fault_s: float | None = None
    noticed_s: float | None = None
    recovered_s: float | None = None
    stopped_s: float | None = None
    'how long a stop took'
    observed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: str = ''
    lost_records: int = 0
    duplicated_records: int = 0
    acknowledged_records: int = 0
    left_over: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    'the reason as it stood on state, log, status, output'

    def strike(self) -> float:
        """Note the moment of the fault."""
        self.fault_s = time.time()
        return self.fault_s

    def saw(self, text: str) -> None:
        self.observed.append(text)

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def require(self, condition: object, problem: str) -> bool:
        if not condition:
            self.problem(problem)
        return bool(condition)

    def ms(self, moment_s: float | None) -> int | None:
        """Milliseconds from the fault to ``moment_s``."""
        if moment_s is None or self.fault_s is None:
            return None
        return max(0, round((moment_s - self.fault_s) * 1000))
