# SPDX-License-Identifier: Apache-2.0
"""Entry point of set-up, as ./va calls it."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from va_setup.errors import SaidAlready, SetupError
from va_setup.run import Options, set_up


def parse(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='./va setup', description='Set up what is missing; a second time it does nothing.')
    profile = parser.add_mutually_exclusive_group()
    profile.add_argument('--cuda', dest='profile', action='store_const', const='cuda', default='',
                         help='the cuda profile too: torch, Kokoro for torch, 9 GB; '
                              'install the Ollama server yourself')
    profile.add_argument('--cpu', dest='profile', action='store_const', const='cpu',
                         help='the cpu profile only (the default; undoes --cuda)')
    parser.add_argument('--only', choices=('all', 'environment'), default='all',
                        help='stop after the Python environment')
    parser.add_argument('--force', action='store_true', help='do every step again')
    parser.add_argument('--quiet', action='store_true', help='say nothing when nothing is to do')
    return Options(**vars(parser.parse_args(arguments)))


def interrupted(number: int, frame: object) -> NoReturn:
    """End on a signal as on Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Set up; return the exit code."""
    options = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        set_up(options)
    except SetupError as error:
        print(f'va: {error}', file=sys.stderr)
        return 1
    except SaidAlready:
        return 1
    except KeyboardInterrupt:
        print('va: set-up interrupted; ./va setup goes on where it stopped', file=sys.stderr)
        return 130
    except OSError as error:
        print(f'va: set-up: {error}; expected to read and write there. '
              'Mend that, then run ./va setup again.', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
