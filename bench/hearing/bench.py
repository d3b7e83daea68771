# SPDX-License-Identifier: Apache-2.0
"""``./va bench hearing``: what the assistant hears, with its own chain, faster than real time."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
import sys
import time
from typing import Any

from command_line import carry_out, INTERRUPTED_CODE, make_parser, Measured
from scorecard import read


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = make_parser('hearing', __doc__)
    parser.add_argument('--only', metavar='FAMILY', action='append', default=[],
                        help='measure only this family of figures; may be given several times')
    parser.add_argument('--quick', action='store_true', help='a part of the sounds: minutes')
    parser.add_argument('--recordings', metavar='DIR', type=Path,
                        help='recordings of people: wake/, speech/, rooms/, noise/')
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
    codes = []
    for name in options.only or FAMILIES:
        _tell(f'hearing: {name}')
        codes.append(carry_out('hearing', argv, options.out,
                               partial(_measure, name, models, sounds, options)))
        if codes[-1] == INTERRUPTED_CODE:
            break
        draw(read(options.out / 'scorecard.json').get('hearing', {}), options.out / 'hearing.png')
    print(f'{options.out / "scorecard.json"}, {options.out / "hearing.png"}')
    return next((code for code in codes if code), 0)


def _measure(name: str, models: Any, sounds: Any, options: argparse.Namespace) -> Measured:
    from hearing.families import FAMILIES

    began_s = time.process_time()
    figures = FAMILIES[name](models, sounds, options.quick)
    how = {'quick': options.quick, 'recordings': options.recordings is not None,
           'cpu_s': round(time.process_time() - began_s)}
    return Measured({'hearing': (name, figures)},
                    how | ({'n': 'quick'} if options.quick else {}))


def _tell(line: str) -> None:
    print(line, flush=True)
