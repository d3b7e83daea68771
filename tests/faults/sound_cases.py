# SPDX-License-Identifier: Apache-2.0
"""Microphone and speaker unplugged and back; the sound server restarted or hung."""
from __future__ import annotations

from collections.abc import Callable
import os
import signal
import time

from virtual_room.pulse import MICROPHONE

from faults.evidence import Evidence, Trouble
from faults.process_cases import hears_or_ended
from faults.reasons import look_for_reasons
from faults.situations import call, end_dialog, LONG_TEXT, reach
from faults.world import World
from va_interfaces.action import Speak
from va_interfaces.srv import Cancel

AWAY_S = 6.0
RECOVER_S = 60.0
SILENT_S, LOUD_S = 2.0, 30.0
WORDS = ('device', 'microphone', 'speaker', 'sound', 'PortAudio', 'stream')


def unplugged(devices: tuple[str, ...], when: str) -> Callable[[World, Evidence], None]:
    """A case: devices vanish for some seconds. The time counts from their return."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, when)
        mark = world.watch.mark()
        unplugged_s = time.time()
        for device in devices:
            world.room.pulse.unplug(device)
        try:
            world.watch.rest(AWAY_S)
            evidence.saw(f'{AWAY_S:.0f} s later: {world.watch.state()}')
        finally:
            evidence.strike()
            for device in devices:
                world.room.pulse.plug(device)
        evidence.noticed_s = _noticed(world, mark, unplugged_s)
        _recovered(world, evidence)
        told = ('state', 'log', 'status')
        if len(devices) == 1 and not evidence.noticed_s:
            # A sound server gives whoever loses his device another one, if there is one.
            evidence.saw('the sound server gave it another device')
            told = ()
        look_for_reasons(world, evidence, mark, 'stt' if MICROPHONE in devices else 'tts', WORDS,
                         told)
        end_dialog(world)

    return play


def server_restarted(when: str) -> Callable[[World, Evidence], None]:
    """A case: the sound server is killed and started again at once."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, when)
        mark = world.watch.mark()
        evidence.strike()
        world.room.pulse.kill()
        world.room.pulse.restart()
        _recovered(world, evidence)
        look_for_reasons(world, evidence, mark, 'stt', WORDS)
        end_dialog(world)

    return play


def server_hung(world: World, evidence: Evidence) -> None:
    """A case: the sound server answers nobody for some seconds."""
    reach(world, 'idle')
    mark = world.watch.mark()
    server = world.room.pulse.pid
    os.kill(server, signal.SIGSTOP)
    try:
        world.watch.rest(AWAY_S)
    finally:
        evidence.strike()
        os.kill(server, signal.SIGCONT)
    _recovered(world, evidence)
    look_for_reasons(world, evidence, mark, 'stt', WORDS)
    end_dialog(world)


def _noticed(world: World, mark: int, since_s: float) -> float | None:
    moments = [e.received_s for e in world.watch.since(mark, 'loader/state') if e.message.reason]
    return min((moment for moment in moments if moment >= since_s), default=None)


def _recovered(world: World, evidence: Evidence) -> None:
    """Wait until it hears, rebuild the room, call it. Raises Trouble."""
    # What was heard before the loss is noticed does not count: two looks, a second apart.
    world.watch.until(lambda: not hears_or_ended(world), SILENT_S)
    deadline = time.monotonic() + RECOVER_S
    while time.monotonic() < deadline:
        if not world.watch.until(lambda: hears_or_ended(world), deadline - time.monotonic()):
            break
        first_s = time.time()
        world.watch.rest(1.0)
        if hears_or_ended(world):
            evidence.recovered_s = first_s
            break
    if evidence.recovered_s is None:
        last = world.watch.last_state()
        raise Trouble(f'it did not hear again within {RECOVER_S:.0f} s: {last.name} {last.reason}')
    if not world.require().running:
        raise Trouble(f'it has ended: {world.require().product.last_lines(2)}')
    world.room.rejoin()
    call(world)
    _spoke(world, evidence)


def _spoke(world: World, evidence: Evidence) -> None:
    """What a robot's program has spoken must be audible in the room: the speaker works too."""
    def is_loud() -> bool:
        return float(world.room.status.get('speaker_dbfs', -120.0)) > -60.0

    end_dialog(world)
    world.robot.send(Speak, 'tts/speak', Speak.Goal(text=LONG_TEXT))
    evidence.require(world.watch.until(is_loud, LOUD_S), 'the speaker stays silent in the room')
    world.robot.call(Cancel, 'tts/stop', Cancel.Request(reason='heard enough'))
