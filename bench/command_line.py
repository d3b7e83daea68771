# SPDX-License-Identifier: Apache-2.0
"""What the command lines of the benches have in common, and how one is carried out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import shlex
import sys
from types import TracebackType
from typing import Any

from scorecard import conditions, Others, OUT, update

INTERRUPTED = 'interrupted'
INTERRUPTED_CODE = 130
"""Exit code of who was told to end, as a shell has it."""


@dataclass
class Measured:
    """What a bench found."""

    parts: dict[str, tuple[str, dict[str, Any]]]
    """Part of the scorecard → whose figures in it these are, and the figures."""
    how: dict[str, Any] = field(default_factory=dict)
    """What is to be known beside machine, profile and commit; ``n`` says of how many."""
    ended_early: str = ''
    """Why it is not all that was asked for."""


class EndedEarly:
    """``with``: what ends a measurement before its time ends this block only.

    What was measured until then counts. Afterwards `reason` says what happened; empty: nothing.
    """

    reason = ''
    _problem: BaseException | None = None

    def __enter__(self) -> EndedEarly:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None,
                 trace: TracebackType | None) -> bool:
        """Take what went wrong in the room or with the assistant, and Ctrl-C."""
        from virtual_room.pulse import RoomError
        from voice.ears import NotComing

        if isinstance(problem, (NotComing, RoomError)):
            self.reason = str(problem)
        elif isinstance(problem, KeyboardInterrupt):
            self.reason = INTERRUPTED
        self._problem = problem if self.reason else None
        return bool(self.reason)

    def require(self, measured: object) -> None:
        """Raises what went wrong when it left nothing: ``measured`` is empty."""
        if self._problem is not None and not measured:
            raise self._problem


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


def command(what: str, argv: list[str]) -> str:
    """The command line as it can be repeated elsewhere: without ``--out``."""
    words = iter(argv)
    kept = []
    for word in words:
        if word == '--out':
            next(words, None)
        elif not word.startswith('--out='):
            kept.append(word)
    return shlex.join(['./va', 'bench', what, *kept])


def carry_out(what: str, argv: list[str], out: Path, measure: Callable[[], Measured]) -> int:
    """Measure, tell, and write into the scorecard.

    Args:
        what: the bench.
        argv: its command line, for whoever wants to repeat it.
        out: folder of the scorecard.

    Returns:
        0; 1 when nothing, or less than was asked for, could be measured; 130 when interrupted.
    """
    from virtual_room.pulse import RoomError
    from voice.ears import NotComing

    from va_common.profile import resolve

    how, others = conditions(resolve('auto')) | {'command': command(what, argv)}, Others()
    try:
        found = measure()
    except (NotComing, RoomError) as problem:
        print(f'{what}: {problem}', file=sys.stderr, flush=True)
        return 1
    how |= others.share() | found.how
    if found.ended_early:
        how['ended_early'] = found.ended_early.replace(f'{out}/', '')
        print(f'{what} ended early: {found.ended_early}', file=sys.stderr, flush=True)
    for part, (family, figures) in found.parts.items():
        if note := update(out / 'scorecard.json', part, family, figures, how):
            print(note, file=sys.stderr, flush=True)
        _show(figures)
    if found.ended_early == INTERRUPTED:
        return INTERRUPTED_CODE
    return 1 if found.ended_early else 0


def _show(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if not name.endswith('_detail'):
            print(f'  {name}: {value}', flush=True)
