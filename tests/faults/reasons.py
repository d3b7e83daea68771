# SPDX-License-Identifier: Apache-2.0
"""Whether a person is told what was wrong: on loader/state, in the log, by ./va status."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
import re

from faults.evidence import Evidence
from faults.records import log_since
from faults.world import World

_STAMPED = re.compile(r'\[(\d{10}\.\d+)\] \[loader\]: (.*)')
LEVELS = (' WARNING ', ' ERROR ', ' FATAL ')
_LAST_RESORT = re.compile(r'^(\d{4}-\d\d-\d\dT\S+) FATAL (.*)', re.MULTILINE)


def names(text: str, thing: str, words: Sequence[str]) -> bool:
    """Whether some line of a text names the thing and one of the words."""
    return any(thing in line and any(word in line for word in words)
               for line in text.splitlines())


def when_noticed(world: World, evidence: Evidence, victim: str, mark: int) -> float | None:
    """When the product said for the first time that it lost the victim, Unix seconds."""
    assert evidence.fault_s is not None
    moments = [e.received_s for e in world.watch.since(mark, 'loader/state')
               if victim in e.message.reason]
    for stamp, line in _STAMPED.findall(world.require().output()):
        if f'{victim} is lost' in line and float(stamp) >= evidence.fault_s:
            moments.append(float(stamp))
    moments += [stamp for stamp, line in last_resort(world)
                if stamp >= evidence.fault_s and (victim in line or 'fork server' in line)]
    return min(moments, default=None)


def last_resort(world: World) -> list[tuple[float, str]]:
    """What main wrote by itself: (Unix seconds, reason)."""
    path = world.require().log_folder / 'fatal.log'
    text = path.read_text(errors='replace') if path.exists() else ''
    return [(datetime.fromisoformat(stamp).timestamp(), line)
            for stamp, line in _LAST_RESORT.findall(text)]


def look_for_reasons(world: World, evidence: Evidence, mark: int, thing: str,
                     words: Sequence[str], channels: Sequence[str] = ('state', 'log', 'status')
                     ) -> None:
    """Since the case began each channel must have named ``thing`` and one of ``words``."""
    since_s = evidence.started_s
    text = {
        'state': '\n'.join(world.watch.reasons(mark)),
        'log': '\n'.join(line for line in log_since(world.require().log_folder, since_s)
                         if any(level in line for level in LEVELS))
        + ''.join(f'\n{line}' for stamp, line in last_resort(world) if stamp >= since_s),
        'status': world.status() if 'status' in channels else '',
        'output': world.require().output(),
    }
    for channel in channels:
        found = next((line for line in reversed(text[channel].splitlines())
                      if names(line, thing, words)), '')
        evidence.told[channel] = found.strip()[:300]
        evidence.require(found, f'{channel} does not tell what was wrong with {thing} '
                                f'({" or ".join(words)})')
