# SPDX-License-Identifier: Apache-2.0
"""``./va faults``: breaks the real assistant on purpose, in the virtual room, and judges it."""
from __future__ import annotations

import argparse
from fnmatch import fnmatch
from pathlib import Path
import shutil
import signal
import sys
import tempfile
import time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faults import report
from faults.case_table import cases
from faults.evidence import Case
from faults.places import find_place

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    """0: every case passed and every figure was reached; 1: not; 2: no such case."""
    given = _parser().parse_args(argv)
    chosen = choose(given)
    if given.list:
        for case in chosen:
            print(f'{case.name:<34} {case.when:<10} {case.fault}: {case.expected}')
        return 0
    if not chosen:
        print(f'--only {given.only}: no such case, expected one of --list', file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # what was started ends with us, in order
        signal.signal(number, _interrupt)
    return run(chosen * given.repeat, given)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def choose(given: argparse.Namespace) -> list[Case]:
    """The cases that the options ask for."""
    every = cases(given.overload or 600.0)
    if given.overload:
        return [case for case in every if case.name == 'overload']
    if given.only:
        return [case for case in every if any(fnmatch(case.name, p) for p in given.only)]
    return [case for case in every if not case.opt_in and (case.quick or not given.quick)]


def run(chosen: list[Case], given: argparse.Namespace) -> int:
    """Play them, write the report."""
    offset = find_place(given.port_offset, given.domain)
    from faults.runner import play_all
    from faults.world import World

    entries: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix='va_faults_'))
    started_s = time.time()
    kept = False

    def tell(number: int, entry: dict[str, Any]) -> None:
        print(report.line(number, len(chosen), entry), flush=True)

    def build() -> dict[str, Any]:
        return report.build(entries, started_s, time.time(),
                            {'only': given.only, 'quick': given.quick, 'repeat': given.repeat})

    print(f'{len(chosen)} cases; ports from {5001 + offset}', flush=True)
    try:
        with World(folder, offset) as world:
            for entry in play_all(world, chosen, tell):
                entries.append(entry)
                report.write(build(), given.out)
            world.put_away()
            for wrong in world.stops:
                print(f'at the end: {wrong}')
                entries[-1]['problems'].append(wrong)
                entries[-1]['passed'] = False
    except KeyboardInterrupt:
        print('interrupted')
        return 130
    finally:
        kept = given.keep or not all(e['passed'] or e['skipped'] for e in entries)
        if kept:
            print(f'files of the assistants: {folder}')
        else:
            shutil.rmtree(folder, ignore_errors=True)
    whole = build()
    report.write(whole, given.out)
    print(report.summary(whole))
    print(f'report: {given.out}')
    return 1 if whole['failed'] or whole['missed_figures'] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='./va faults', description=__doc__)
    parser.add_argument('--list', action='store_true', help='show the cases and end')
    parser.add_argument('--only', action='append', metavar='PATTERN',
                        help='only cases whose name matches, as kill_*_idle; may be repeated')
    parser.add_argument('--quick', action='store_true', help='the part that ./va test runs')
    parser.add_argument('--repeat', type=int, default=1, metavar='N', help='all of it N times')
    parser.add_argument('--overload', type=float, metavar='SECONDS',
                        help='instead: four times as much work as cores for so long')
    parser.add_argument('--out', type=Path, default=ROOT / 'out/faults/report.json',
                        metavar='FILE', help='where the report goes')
    parser.add_argument('--port-offset', type=int, metavar='N', help='else a free one is found')
    parser.add_argument('--domain', type=int, metavar='N', help='ROS domain; else one of ours')
    parser.add_argument('--keep', action='store_true', help='keep the files of the assistants')
    return parser


if __name__ == '__main__':
    sys.exit(main())
