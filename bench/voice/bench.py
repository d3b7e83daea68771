# SPDX-License-Identifier: Apache-2.0
"""``./va bench voice``: from the user's last sound to the assistant's first, in recorded sound.

Each mode runs in a virtual room of its own; a user with six voices asks questions. Both ends of a
wait are found in the recordings of the two devices, not in what a system says about itself.
"""

from __future__ import annotations

import argparse
from functools import partial
import sys
from typing import Any

from command_line import add_place, carry_out, INTERRUPTED_CODE, make_parser, whole

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
    from voice.run import run_mode

    modes = options.only or MODES
    if peers.python() is None and set(modes) & set(PIPECAT):
        print(peers.missing(), flush=True)
        modes = [mode for mode in modes if mode not in PIPECAT]
    failed, code = [], 0
    for mode in modes:
        print_line(f'voice: {mode}')
        code = carry_out('voice', argv, options.out, partial(run_mode, mode, options))
        if code:
            failed.append(mode)
        if code == INTERRUPTED_CODE:
            break
    print_line(options.out / 'scorecard.json')
    if failed:
        print(f'not or not all measured: {", ".join(failed)}', file=sys.stderr)
    return INTERRUPTED_CODE if code == INTERRUPTED_CODE else int(bool(failed))


def print_line(line: Any) -> None:
    """What happens, at once."""
    print(line, flush=True)
