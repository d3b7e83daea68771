# SPDX-License-Identifier: Apache-2.0
"""A process is broken while the assistant boots."""
from __future__ import annotations

from collections.abc import Callable
import os
import signal
import time

import psutil

from faults.census import process_of_port
from faults.evidence import Evidence, Trouble
from faults.process_cases import BREAK_S, start_again, WORDS
from faults.reasons import look_for_reasons
from faults.situations import call, end_dialog
from faults.world import READY_S, World

PROCESS_S = 60.0
BEGUN_S = 0.3
"""From the announcement of a phase until its nodes are being configured."""


def struck_in_boot(victim: str, number: signal.Signals, phase: str = ''
                   ) -> Callable[[World, Evidence], None]:
    """A case: the victim gets the signal as soon as its port is there, or when a phase begins.

    The assistant must retry by itself, become idle and hear.
    """

    def play(world: World, evidence: Evidence) -> None:
        assistant = world.start()
        process = booting(world, victim)
        if phase and world.watch.wait(
                lambda e: e.topic == 'loader/state' and e.message.phase == phase, PROCESS_S,
                mark=assistant.mark, alive=lambda: assistant.running) is None:
            raise Trouble(f'{phase} did not begin: {assistant.product.last_lines(2)}')
        world.watch.rest(BEGUN_S if phase else 0.0)
        evidence.saw(f'{victim} in {world.watch.state() or "boot"}')
        mark = world.watch.mark()
        evidence.strike()
        os.kill(process.pid, number)
        if not world.watch.until(lambda: not _lives(process), BREAK_S + 60.0):
            raise Trouble('the broken process had not been replaced after 72 s')
        evidence.noticed_s = time.time() if number != signal.SIGSTOP else None
        ready = world.watch.until(
            lambda: not assistant.running or world.watch.hears(world.offset), READY_S)
        if not ready or not assistant.running:
            raise Trouble(f'it did not get ready: {assistant.product.last_lines(2)}')
        evidence.recovered_s = time.time()
        assistant.processes_when_idle = len(assistant.census.take())
        call(world)
        words = WORDS[number] if number != signal.SIGSTOP else (*WORDS[number], 'not done after')
        # A process that dies before its phase begins costs nothing: no state tells of it.
        channels = ('log', 'status') if victim == 'kwd' else ('state', 'log', 'status')
        look_for_reasons(world, evidence, assistant.mark if victim != 'loader' else mark, victim,
                         words, channels)
        end_dialog(world)
        world.config = 'plain'

    return play


def main_killed_in_boot(world: World, evidence: Evidence) -> None:
    """main dies while everything starts: nothing stays, and the next start works."""
    assistant = world.start()
    booting(world, 'tts')
    assistant.census.take()
    main = world.require().product.process
    assert main is not None
    evidence.strike()
    main.kill()
    main.wait(5.0)
    evidence.left_over = assistant.left(timeout_s=15.0)
    start_again(world, evidence)


def booting(world: World, victim: str) -> psutil.Process:
    """The victim, once it listens on its port."""
    assistant = world.require()
    found: list[psutil.Process] = []

    def look() -> bool:
        process = process_of_port(world.port(victim))
        found[:] = [process] if process is not None else []
        return bool(found) or not assistant.running

    if not world.watch.until(look, PROCESS_S, 0.02) or not found:
        raise Trouble(f'{victim} did not come up: {assistant.product.last_lines(2)}')
    assistant.census.take()
    return found[0]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
