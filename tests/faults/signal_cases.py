# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM in each phase: a clean and quick end."""
from __future__ import annotations

from collections.abc import Callable
import signal

from faults.boot_cases import booting
from faults.evidence import Evidence
from faults.judge import STOP_MS
from faults.records import application_log, read_records
from faults.situations import reach
from faults.world import World


def stopped(number: signal.Signals, when: str) -> Callable[[World, Evidence], None]:
    """A case: the signal reaches main; exit code 0 in time, nothing left, the dialog closed."""

    def play(world: World, evidence: Evidence) -> None:
        dialog_id = ''
        if when == 'boot':
            world.start()
            booting(world, 'stt')
        else:
            dialog_id = reach(world, when).dialog_id
        assistant = world.require()
        assistant.census.take()
        mark = world.watch.mark()
        evidence.strike()
        stop = assistant.stop(number)
        evidence.stopped_s = stop.took_s
        evidence.left_over = stop.left
        evidence.require(stop.exit_code == 0, f'exit code {stop.exit_code}, expected 0: '
                                              f'{assistant.product.last_lines(2)}')
        evidence.require(stop.took_s * 1000 <= STOP_MS,
                         f'stopped after {stop.took_s:.1f} s, expected {STOP_MS / 1000:g} s')
        names = [e.message.name for e in world.watch.since(mark, 'loader/state')]
        evidence.told = {'state': 'stopping' if 'stopping' in names else ''}
        if when != 'boot':
            evidence.require('stopping' in names, f'loader/state did not say stopping but {names}')
        evidence.require('Traceback' not in application_log(assistant.log_folder)
                         and 'Traceback' not in assistant.output(), 'a traceback in its output')
        if dialog_id:
            texts = [r.get('text') for r in read_records(assistant.log_folder, dialog_id)]
            evidence.require('dialog_end' in texts, 'the file of the dialog has no end')

    return play
