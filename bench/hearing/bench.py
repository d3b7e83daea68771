# SPDX-License-Identifier: Apache-2.0
"""``./va bench hearing``: what the assistant hears, with its own chain, faster than real time."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import time
from typing import Any

from scorecard import conditions, OUT, update


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog='./va bench hearing', description=__doc__)
    parser.add_argument('--only', metavar='FAMILY', action='append', default=[],
                        help='measure only this family of figures; may be given several times')
    parser.add_argument('--quick', action='store_true', help='a part of the sounds: minutes')
    parser.add_argument('--recordings', metavar='DIR', type=Path,
                        help='recordings of people: wake/, speech/, rooms/, noise/')
    parser.add_argument('--out', metavar='DIR', type=Path, default=OUT)
    options = parser.parse_args(argv)
    if options.recordings is not None and not options.recordings.is_dir():
        parser.error(f'--recordings {options.recordings}: no such folder; expected one with '
                     'wake/, speech/, rooms/ and noise/')
    return options


def main(argv: list[str]) -> int:
    """Measure, tell and write; 2 for a wrong command line."""
    options = arguments(argv)
    from hearing.chain import Engines
    from hearing.families import FAMILIES
    from hearing.picture import draw
    from hearing.sounds import Sounds

    unknown = [name for name in options.only if name not in FAMILIES]
    if unknown:
        print(f'--only {unknown[0]}: expected one of {", ".join(FAMILIES)}', file=sys.stderr)
        return 2
    models, sounds = Engines(), Sounds(options.recordings, tell=_tell)
    for name in options.only or FAMILIES:
        _tell(f'hearing: {name}')
        before, began, cpu = conditions(models.profile), time.monotonic(), time.process_time()
        figures = FAMILIES[name](models, sounds, options.quick)
        how = before | {'quick': options.quick, 'recordings': options.recordings is not None,
                        'wall_s': round(time.monotonic() - began),
                        'cpu_s': round(time.process_time() - cpu)}
        card = update(options.out / 'scorecard.json', 'hearing', name, figures, how)
        _show(figures)
        draw(card['hearing'], options.out / 'hearing.png')
    print(f'{options.out / "scorecard.json"}, {options.out / "hearing.png"}')
    return 0


def _show(figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        if not key.endswith('_detail'):
            print(f'  {key}: {value}', flush=True)


def _tell(line: str) -> None:
    print(line, flush=True)
