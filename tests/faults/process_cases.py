# SPDX-License-Identifier: Apache-2.0
"""kill -9, SIGSTOP and SIGABRT for each process of a running assistant."""
from __future__ import annotations

from collections.abc import Callable
import os
import signal
import time

import psutil

from faults.census import process_of_port
from faults.dialog_judge import judge_dialog
from faults.evidence import Evidence, Trouble
from faults.reasons import look_for_reasons, when_noticed
from faults.situations import call, end_dialog, reach, Situation
from faults.watch import CHECK_S
from faults.world import QUESTION, World
from va_common.health import check, HealthState
from va_common.ports import PORTS

BREAK_S, RECOVER_S = 30.0, 90.0
CALLED = {'forker': 'fork server'}
WORDS = {
    signal.SIGKILL: ('SIGKILL',),
    signal.SIGABRT: ('SIGABRT',),
    signal.SIGSTOP: ('frozen', 'no answer', 'hung', 'stopped'),
}
"""What a reason must name, for each signal that breaks a process."""


def struck(victim: str, number: signal.Signals, when: str) -> Callable[[World, Evidence], None]:
    """A case: ``victim`` gets the signal in a situation and the product is to mend it."""

    def play(world: World, evidence: Evidence) -> None:
        situation = reach(world, when)
        process = psutil.Process(world.pids()[victim])
        mark = world.watch.mark()
        evidence.strike()
        os.kill(process.pid, number)
        evidence.saw(f'{victim} in {world.watch.state()}')
        if when == 'listening' and victim not in ('stt', 'loader', 'forker'):
            world.user.say(QUESTION)  # the turn is open: the user goes on as if nothing had been
        wait_recovered(world, evidence, lambda: not _lives(process), victim)
        evidence.noticed_s = when_noticed(world, evidence, victim, mark)
        after(world, evidence, victim, number, when, situation, mark)

    return play


def wait_recovered(world: World, evidence: Evidence, broken: Callable[[], bool], victim: str,
                   limit_s: float = RECOVER_S) -> None:
    """Wait until the fault has had its effect and then until it hears. Raises Trouble."""
    if not world.watch.until(broken, BREAK_S):
        raise Trouble(f'after {BREAK_S:.0f} s the broken process had not been replaced')
    first = victim if victim in PORTS else 'kwd'
    if not world.watch.until(lambda: hears_or_ended(world, first), limit_s):
        last = world.watch.last_state()
        raise Trouble(f'it did not hear again within {limit_s:.0f} s: {last.name} {last.reason}')
    if not world.require().running:
        raise Trouble(f'it has ended: {world.require().product.last_lines(2)}')
    evidence.recovered_s = time.time()


def hears_or_ended(world: World, first: str = 'kwd') -> bool:
    return not world.require().running or world.watch.hears(world.offset, first)


def after(world: World, evidence: Evidence, victim: str, number: signal.Signals, when: str,
          situation: Situation, mark: int) -> None:
    """What must hold once it hears again."""
    if when != 'idle':
        judge_dialog(world, evidence, victim, when, situation, mark)
    call(world)
    look_for_reasons(world, evidence, mark, CALLED.get(victim, victim), WORDS[number])
    end_dialog(world)


def frozen_main(world: World, evidence: Evidence) -> None:
    """main frozen: nobody else depends on it; it goes on when it may."""
    main = world.pids()['main']
    reach(world, 'idle')
    evidence.strike()
    os.kill(main, signal.SIGSTOP)
    try:
        world.watch.rest(3.0)
        evidence.require(world.watch.hears(world.offset), 'it stopped hearing')
        evidence.recovered_s = evidence.fault_s
        call(world)
        end_dialog(world)
    finally:
        os.kill(main, signal.SIGCONT)
    evidence.require(world.require().running, 'main ended when it was let go on')


def killed_main(number: signal.Signals, when: str) -> Callable[[World, Evidence], None]:
    """A case: main dies; everything ends with it, and the next start works at once."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, when)
        assistant = world.require()
        assistant.census.take()
        evidence.strike()
        os.kill(world.pids()['main'], number)
        evidence.require(world.watch.until(lambda: not assistant.running, 5.0), 'main lives on')
        ended_s = time.monotonic()
        evidence.left_over = assistant.left(timeout_s=10.0)
        evidence.saw(f'its processes were gone {time.monotonic() - ended_s:.1f} s later')
        world.finish_records(evidence)
        start_again(world, evidence)

    return play


def start_again(world: World, evidence: Evidence) -> None:
    """A new start must work and hear; its time is told, but it is no recovery by itself."""
    begun = time.monotonic()
    world.start()
    world.wait_ready()
    world.config = 'plain'
    evidence.saw(f'started anew in {time.monotonic() - begun:.1f} s')
    call(world)
    end_dialog(world)


def too_often(victim: str) -> Callable[[World, Evidence], None]:
    """A case: the victim is killed whenever it is back, until the product gives up."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, 'idle')
        assistant = world.require()
        mark = world.watch.mark()
        evidence.strike()
        deaths = 0
        while assistant.running and deaths < 6:
            process = _next_life(world, victim)
            if process is not None:
                deaths += 1
                process.kill()
                world.watch.until(lambda process=process: not _lives(process), BREAK_S)
        evidence.saw(f'gave up after {deaths} deaths')
        evidence.require(assistant.product.exit_code == 1,
                         f'exit code {assistant.product.exit_code}, expected 1')
        # Fewer when an earlier case has used the budget too.
        evidence.require(1 <= deaths <= 4, f'gave up after {deaths} deaths in 60 s, expected 4')
        evidence.left_over = assistant.left()
        reason = next((r for r in world.watch.reasons(mark) if 'restarts' in r), '')
        output = assistant.output()
        evidence.told = {'state': reason, 'output': 'FATAL' if 'FATAL' in output else ''}
        if victim != 'loader':
            evidence.require(victim in reason, 'no reason on loader/state')
        evidence.require('FATAL' in output, 'no FATAL in its output')

    return play


def _next_life(world: World, victim: str) -> psutil.Process | None:
    """The victim, as soon as it works (the loader: as soon as it answers); None when the assistant
    has ended instead.
    """
    found: list[psutil.Process] = []

    def look() -> bool:
        if victim == 'loader' or check(world.port(victim), CHECK_S) is HealthState.SERVING:
            process = process_of_port(world.port(victim))
            found[:] = [process] if process is not None else []
        return bool(found) or not world.require().running

    if not world.watch.until(look, RECOVER_S):
        raise Trouble('it neither came back nor gave up')
    return found[0] if found else None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
