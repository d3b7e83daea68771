# SPDX-License-Identifier: Apache-2.0
"""The scorecard: figures, and under which conditions each family of them was measured."""

from __future__ import annotations

from datetime import datetime, timezone
import json
import os
from pathlib import Path
import platform
import subprocess
import time
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / 'out/bench'


def conditions(profile: Any) -> dict[str, Any]:
    """Machine, profile, commit, load and time, for a :class:`va_common.profile.Profile`."""
    return {
        'machine': f'{_cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB',
        'system': platform.platform(terse=True), 'python': platform.python_version(),
        'profile': profile.name, 'commit': _commit(),
        'load_1min': round(os.getloadavg()[0], 1),
        'at': datetime.now(timezone.utc).isoformat(timespec='seconds'),
    }


class Others:
    """What other programs take of the processor from now on, kernel and stolen time included.

    Exact once all that this process started has ended and was waited for.
    """

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._before_s = _others_s()

    def share(self) -> dict[str, Any]:
        """For the conditions: in percent of one core, and for how long, in seconds."""
        span_s = time.monotonic() - self._began_s
        used_s = max(0.0, _others_s() - self._before_s)
        return {'others_core_percent': round(100 * used_s / max(span_s, 1e-3), 1),
                'wall_s': round(span_s)}


def _others_s() -> float:
    """CPU seconds of all programs since the machine started, less those of ours."""
    import psutil

    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return float(busy - sum(os.times()[:4]))


def update(path: Path, part: str, family: str, figures: dict[str, Any],
           how: dict[str, Any]) -> str:
    """Write the figures of a family into a part of the scorecard; the rest of it stays.

    Figures of the family that are not measured any more are taken out. What ended early does not
    replace what the same commit measured to its end. Nothing is lost: every call adds a line to
    ``history.jsonl`` beside it.

    Returns:
        What became of whole figures that were there when these ended early; empty: no such case.
    """
    card = read(path)
    values = card.setdefault(part, {})
    measured = values.setdefault('conditions', {})
    before = measured.get(family, {})
    spoils = 'ended_early' in how and bool(before) and 'ended_early' not in before
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.parent / 'history.jsonl'
    with kept.open('a') as history:
        history.write(json.dumps({'part': part, 'family': family, 'figures': figures,
                                  'conditions': how}, ensure_ascii=False) + '\n')
    commit = before.get('commit')
    if spoils and commit == how.get('commit'):
        return f'{part}, {family}: the whole figures of this commit stay; what there was until ' \
               f'then is in {kept}'
    for key in before.get('figures', ()):
        values.pop(key, None)
    values.update(figures)
    measured[family] = how | {'figures': list(figures)}
    partial = path.with_suffix('.part')
    partial.write_text(json.dumps(card, indent=2, ensure_ascii=False) + '\n')
    partial.replace(path)
    return f'{part}, {family}: the whole figures of commit {commit} are replaced; they are in ' \
           f'{kept}' if spoils else ''


def read(path: Path) -> dict[str, Any]:
    """The scorecard; empty where there is none. Raises SystemExit when it is none."""
    if not path.exists():
        return {}
    try:
        card = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise SystemExit(f'{path}: not JSON ({error}); expected a scorecard. '
                         'Move it away and measure again.') from error
    return dict(card)


def _commit() -> str:
    """Short hash of the commit, with + when files differ from it; unknown outside git."""
    def git(*words: str) -> str:
        done = subprocess.run(['git', '-C', str(ROOT), *words], capture_output=True, text=True,
                              check=False, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else ''

    commit = git('rev-parse', '--short', 'HEAD')
    if not commit:
        return 'unknown'
    return commit + ('+' if git('status', '--porcelain', '--untracked-files=no') else '')


def _cpu() -> str:
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9
