# SPDX-License-Identifier: Apache-2.0
"""What the command lines of the benches have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from scorecard import OUT


def make_parser(what: str, doc: str | None) -> argparse.ArgumentParser:
    """``./va bench WHAT`` with ``--out``."""
    parser = argparse.ArgumentParser(prog=f'./va bench {what}', description=doc)
    parser.add_argument('--out', metavar='DIR', type=Path, default=OUT,
                        help='where scorecard.json and what was recorded go')
    return parser


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where an assistant runs beside that of this machine's user."""
    parser.add_argument('--port-offset', type=whole(0, 60000), default=700, metavar='N',
                        help='of the health ports (%(default)s)')
    parser.add_argument('--ros-domain', type=whole(0, 101), default=71, metavar='N',
                        help='ROS_DOMAIN_ID (%(default)s)')


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number in a range, for argparse."""
    def parse(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f'{text}: expected a whole number from {least} to {most}')
        return int(text)
    return parse
