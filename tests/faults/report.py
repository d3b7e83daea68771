# SPDX-License-Identifier: Apache-2.0
"""Lines for a person and ``report.json``."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import platform
import subprocess
from typing import Any

from faults.judge import figures, misses

ROOT = Path(__file__).resolve().parents[2]


def line(number: int, count: int, entry: dict[str, Any]) -> str:
    """One case on one line, and below it what was wrong."""
    word = 'skip' if entry['skipped'] else 'ok  ' if entry['passed'] else 'FAIL'
    times = ', '.join(f'{name} {entry[key] / 1000:.1f} s' for key, name in (
        ('noticed_ms', 'noticed'), ('recovery_ms', 'hears again'), ('stop_ms', 'stopped'))
        if entry[key] is not None)
    shown = f'{number:3d}/{count} {word} {entry["name"]:<34} {times}'
    details = [entry['skipped']] if entry['skipped'] else entry['problems']
    return '\n'.join([shown.rstrip(), *(f'            {detail}' for detail in details)])


def build(entries: Sequence[dict[str, Any]], started_s: float, ended_s: float,
          options: dict[str, Any]) -> dict[str, Any]:
    """The report; ``cases``, ``passed`` and ``failed`` are its contract."""
    found = figures(entries)
    return {
        'cases': list(entries),
        'passed': sum(entry['passed'] for entry in entries),
        'failed': sum(not entry['passed'] and not entry['skipped'] for entry in entries),
        'skipped': sum(bool(entry['skipped']) for entry in entries),
        'figures': found, 'missed_figures': misses(found),
        'started': _iso(started_s), 'ended': _iso(ended_s),
        'duration_s': round(ended_s - started_s), 'options': options,
        'machine': _machine(), 'commit': _commit(), 'profile': 'cpu',
    }


def write(report: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + '\n')


def summary(report: dict[str, Any]) -> str:
    """The closing lines."""
    found = report['figures']
    rows = [f'{report["passed"]} passed, {report["failed"]} failed, {report["skipped"]} skipped '
            f'in {report["duration_s"]} s']
    if found['recovery_p95_ms'] is not None:
        rows.append(f'hears again: p50 {_s(found["recovery_p50_ms"])}, p95 '
                    f'{_s(found["recovery_p95_ms"])}, slowest {_s(found["recovery_max_ms"])}')
    if found['frozen_noticed_max_ms'] is not None:
        rows.append(f'frozen process noticed after at most {_s(found["frozen_noticed_max_ms"])}')
    if found['stop_max_ms'] is not None:
        rows.append(f'slowest clean stop {_s(found["stop_max_ms"])}')
    rows.append(f'records: {found["acknowledged_records"]} acknowledged, {found["lost_records"]} '
                f'lost, {found["duplicated_records"]} twice; {found["left_over"]} left behind')
    rows += [f'figure missed: {miss}' for miss in report['missed_figures']]
    return '\n'.join(rows)


def _s(milliseconds: float) -> str:
    return f'{milliseconds / 1000:.1f} s'


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, timezone.utc).isoformat(timespec='seconds')


def _machine() -> dict[str, Any]:
    return {'cores': os.cpu_count(), 'kernel': platform.release(),
            'python': platform.python_version(), 'load_before': round(os.getloadavg()[2], 2)}


def _commit() -> str:
    try:
        return subprocess.run(['git', '-C', str(ROOT), 'describe', '--always', '--dirty'],
                              text=True, capture_output=True, timeout=10).stdout.strip()
    except OSError:
        return ''
