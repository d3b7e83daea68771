# SPDX-License-Identifier: Apache-2.0
"""``./va bench [WHAT] [OPTION...]``: measures; without WHAT everything, one after the other."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
import signal
import sys

from command_line import INTERRUPTED_CODE

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'bench'), str(ROOT / 'tests')]

BENCHES = {
    'hearing': 'hearing.bench',
    'voice': 'voice.bench',
    'boot': 'boot',
    'idle': 'idle',
    'soak': 'soak',
    'scale': 'scale',
    'page': 'page',
}
"""Name on the command line → module with ``main(argv) -> int``; ``--help`` is its own."""


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for; 2 for a wrong command line, else the first failure's code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in BENCHES:
        return _bench(words[0], words[1:])
    parser = argparse.ArgumentParser(
        prog='./va bench', description='Measure. Each WHAT has options of its own: '
        './va bench WHAT --help. Without WHAT: everything, with defaults.')
    parser.add_argument('what', metavar='WHAT', nargs='?', choices=tuple(BENCHES),
                        help=', '.join(BENCHES))
    parser.parse_args(words)
    codes = []
    for name in BENCHES:
        codes.append(_bench(name, []))
        if codes[-1] == INTERRUPTED_CODE:
            break
    return next((code for code in codes if code), 0)


def _bench(name: str, argv: list[str]) -> int:
    try:
        return int(import_module(BENCHES[name]).main(argv))
    except KeyboardInterrupt:
        print(f'{name}: interrupted; what was measured before stays', file=sys.stderr)
        return INTERRUPTED_CODE


if __name__ == '__main__':
    # Both keep what there is; SIGINT, too, where a script that runs this in the background
    # had it ignored, by what is started here as well.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
