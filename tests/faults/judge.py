# SPDX-License-Identifier: Apache-2.0
"""Decides from the evidence whether a case passed. Plain logic."""
from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from faults.evidence import Evidence

RECOVERY_P95_MS, NOTICED_MS, STOP_MS = 8000, 5000, 3000
LATEST_RECOVERY_MS = 60_000
"""A single case may take longer than the 95th percentile, but not for ever."""


def verdict(evidence: Evidence) -> dict[str, Any]:
    """One entry of ``cases`` in the report."""
    case = evidence.case
    recovery_ms = evidence.ms(evidence.recovered_s)
    problems = evidence.problems + _problems(evidence, recovery_ms)
    return {
        'name': case.name, 'fault': case.fault, 'when': case.when, 'expected': case.expected,
        'observed': '; '.join([*evidence.observed, *problems]) or 'as expected',
        'recovery_ms': recovery_ms, 'noticed_ms': evidence.ms(evidence.noticed_s),
        'stop_ms': None if evidence.stopped_s is None else round(evidence.stopped_s * 1000),
        'acknowledged_records': evidence.acknowledged_records,
        'lost_records': evidence.lost_records,
        'duplicated_records': evidence.duplicated_records,
        'left_over': evidence.left_over, 'reason': evidence.told, 'problems': problems,
        'skipped': evidence.skipped, 'passed': not problems and not evidence.skipped,
    }


def _problems(evidence: Evidence, recovery_ms: int | None) -> list[str]:
    if evidence.skipped:
        return []
    found = []
    if evidence.case.recovers and not evidence.problems:
        if recovery_ms is None:
            found.append('it was not heard to recover')
        elif recovery_ms > LATEST_RECOVERY_MS:
            found.append(f'recovered after {recovery_ms} ms, expected {LATEST_RECOVERY_MS}')
    if evidence.lost_records:
        found.append(f'{evidence.lost_records} acknowledged records lost')
    if evidence.duplicated_records:
        found.append(f'{evidence.duplicated_records} records twice')
    if evidence.left_over:
        found.append(f'left behind: {", ".join(evidence.left_over)}')
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is asked of all cases together, and whether it was reached."""
    recovery = [e['recovery_ms'] for e in entries if e['recovery_ms'] is not None]
    running = [e['recovery_ms'] for e in entries
               if e['recovery_ms'] is not None and e['when'] != 'boot']
    noticed = [e['noticed_ms'] for e in entries
               if e['noticed_ms'] is not None and e['fault'].startswith('SIGSTOP')]
    stops = [e['stop_ms'] for e in entries if e['stop_ms'] is not None]
    return {
        'recovery_p95_ms': percentile(recovery, 0.95),
        'recovery_p95_running_ms': percentile(running, 0.95),
        'recovery_p50_ms': percentile(recovery, 0.5),
        'recovery_max_ms': max(recovery, default=None),
        'frozen_noticed_max_ms': max(noticed, default=None),
        'stop_max_ms': max(stops, default=None),
        'acknowledged_records': sum(e['acknowledged_records'] for e in entries),
        'lost_records': sum(e['lost_records'] for e in entries),
        'duplicated_records': sum(e['duplicated_records'] for e in entries),
        'left_over': sum(len(e['left_over']) for e in entries),
    }


def misses(found: dict[str, Any]) -> list[str]:
    """Which of the figures to reach were not."""
    limits = {'recovery_p95_ms': RECOVERY_P95_MS, 'frozen_noticed_max_ms': NOTICED_MS,
              'stop_max_ms': STOP_MS, 'lost_records': 0, 'duplicated_records': 0, 'left_over': 0}
    return [f'{name} {found[name]}: expected at most {limit}' for name, limit in limits.items()
            if found[name] is not None and found[name] > limit]
