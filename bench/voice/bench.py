# SPDX-License-Identifier: Apache-2.0
"""``./va bench voice``: from the user's last sound to the assistant's first, in recorded sound.

Each mode runs in a virtual room of its own; a user with six voices asks questions. Both ends of a
wait are found in the recordings of the two devices, not in what a system says about itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import Any

from command_line import add_place, make_parser, whole
from scorecard import conditions, update

from voice import peers

PER_DIALOG = 2


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    from voice.modes import MODES

    parser = make_parser('voice', __doc__)
    parser.add_argument('--only', metavar='MODE', action='append', default=[], choices=MODES,
                        help=f'one of {", ".join(MODES)}; may be given several times')
    parser.add_argument('--turns', metavar='N', type=whole(1, 1000), default=30,
                        help='questions per mode (%(default)s)')
    parser.add_argument('--peers', action='store_true',
                        help='install pipecat, in an environment of its own, and end')
    parser.add_argument('--seed', type=int, default=1, help='of room and noise (%(default)s)')
    add_place(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when a mode could not be measured."""
    options = arguments(argv)
    if options.peers:
        peers.install()
        return 0
    from voice.modes import MODES, PIPECAT

    modes = options.only or MODES
    if peers.python() is None and set(modes) & set(PIPECAT):
        print(peers.missing(), flush=True)
        modes = [mode for mode in modes if mode not in PIPECAT]
    failed = [mode for mode in modes if not _measured(mode, options)]
    print(options.out / 'scorecard.json')
    if failed:
        print(f'not measured: {", ".join(failed)}', file=sys.stderr)
    return 1 if failed else 0


def _measured(mode: str, options: argparse.Namespace) -> bool:
    from virtual_room.pulse import RoomError

    from va_common.profile import resolve
    from voice.ears import NotComing
    from voice.run import run_mode

    print(f'voice: {mode}', flush=True)
    before, began = conditions(resolve('auto')), time.monotonic()
    folder = options.out / 'voice' / mode
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        figures = run_mode(mode, folder, options, print_line)
    except (NotComing, RoomError) as problem:
        print(f'  {mode}: {problem}', file=sys.stderr, flush=True)
        return False
    how = before | figures.pop('how') | {'wall_s': round(time.monotonic() - began)}
    for part, (family, values) in figures.items():
        update(options.out / 'scorecard.json', part, family, values, how)
        print_line(f'  {part}: {values}')
    return True


def print_line(line: Any) -> None:
    """What happens, at once."""
    print(line, flush=True)
