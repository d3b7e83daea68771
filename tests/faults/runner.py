# SPDX-License-Identifier: Apache-2.0
"""Plays cases one after another, with records written all the while, and judges them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import time
import traceback
from typing import Any

from faults.evidence import Case, Evidence, NotPossible, Trouble
from faults.judge import verdict
from faults.ollama_cases import settings as ollama_settings
from faults.world import World

_PATIENCE_S = 5.0
SHARED = ('plain', 'ollama')
"""Configurations of assistants on which many cases are played."""


def play_all(world: World, cases: Sequence[Case], tell: Callable[[int, dict[str, Any]], None]
             ) -> Iterator[dict[str, Any]]:
    """Play every case; gives the entries of the report as they come, and tells them."""
    pending = list(cases)
    number = 0
    while pending:
        case = choose(pending, world.config, world.may_restart, world.is_rested)
        if case is None:
            world.watch.rest(_PATIENCE_S)  # the product's budget of restarts fills again
            continue
        pending.remove(case)
        number += 1
        entry = play(world, case)
        tell(number, entry)
        yield entry


def choose(pending: Sequence[Case], config: str, may: Callable[[tuple[str, ...]], bool],
           rested: Callable[[tuple[str, ...]], bool]) -> Case | None:
    """The next case; None when none may begin yet.

    First those that the running assistant can take without spending its budget of restarts, those
    that end it last. A process that has been well for long goes before one that was restarted
    just now: the product lets the second wait longer, and the figure is of single faults.
    """
    fitting = [case for case in pending if case.config == config and may(case.restarts)]
    lasting = [case for case in fitting if not case.ends]
    if fitting:
        return max(lasting or fitting,
                   key=lambda case: (rested(case.restarts), bool(case.restarts)))
    if config in SHARED and any(case.config == config for case in pending):
        return None
    leaving = [case for case in pending if case.leaves]
    own = [case for case in pending if case.config == 'own']
    return (leaving or own or list(pending))[0]


def play(world: World, case: Case) -> dict[str, Any]:
    """Play and judge one case."""
    evidence = Evidence(case)
    stops = len(world.stops)
    world.notes.clear()
    try:
        if case.config != 'own':
            world.ready(case.config, _changes(world, case.config))
            world.keep_records()
        world.note_restarts(case.restarts)
        case.play(world, evidence)
        world.finish_records(evidence)
        _count_processes(world, evidence)
    except NotPossible as reason:
        evidence.skipped = str(reason)
    except Trouble as trouble:
        evidence.problem(str(trouble))
    except Exception as error:  # a case that breaks must not end the run
        evidence.problem(f'{type(error).__name__}: {error}')
        evidence.told['traceback'] = traceback.format_exc()[-1500:]
    _clear_up(world, evidence)
    evidence.problems += world.stops[stops:]
    evidence.observed += world.notes
    entry = verdict(evidence)
    entry['took_s'] = round(time.time() - evidence.started_s, 1)
    return entry


def _changes(world: World, config: str) -> dict[str, str]:
    return {'plain': {}, 'ollama': ollama_settings(world.ollama.url)}[config]


def _count_processes(world: World, evidence: Evidence) -> None:
    """No more processes than when it became idle for the first time."""
    assistant = world.assistant
    if assistant is None or not assistant.running or not assistant.processes_when_idle:
        return

    def is_settled() -> bool:
        return len(assistant.census.take()) <= assistant.processes_when_idle

    evidence.require(world.watch.until(is_settled, 5.0, 0.5),
                     f'{len(assistant.census.take())} processes, '
                     f'{assistant.processes_when_idle} when it was ready')


def _clear_up(world: World, evidence: Evidence) -> None:
    """After a failed case an assistant that is not well is ended."""
    world.drop_records()
    assistant = world.assistant
    if assistant is None:
        return
    if evidence.problems:
        evidence.told['output'] = assistant.output()[-3000:]
        evidence.told['files'] = str(assistant.folder)
    if evidence.problems and assistant.running and not _is_well(world):
        assistant.kill()
    if not assistant.running:
        assistant.kill()
        world.assistant = None
        world.config = ''


def _is_well(world: World) -> bool:
    return world.watch.state() == 'idle' and world.watch.hears(world.offset)
