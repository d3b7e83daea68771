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
from faults.situations import call, end_dialog, reach
from faults.world import World

AWAY_S = 6.0
RECOVER_S = 60.0
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
            for device in devices:
                world.room.pulse.plug(device)
            world.room.rejoin()
        evidence.noticed_s = _noticed(world, mark, unplugged_s)
        _recovered(world, evidence, mark, 'stt' if MICROPHONE in devices else 'tts')

    return play


def server_restarted(when: str) -> Callable[[World, Evidence], None]:
    """A case: the sound server is killed and started again at once."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, when)
        mark = world.watch.mark()
        world.room.pulse.kill()
        world.room.pulse.restart()
        world.room.rejoin()
        _recovered(world, evidence, mark, 'stt')

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
        os.kill(server, signal.SIGCONT)
        world.room.rejoin()
    _recovered(world, evidence, mark, 'stt')


def _noticed(world: World, mark: int, since_s: float) -> float | None:
    moments = [e.received_s for e in world.watch.since(mark, 'loader/state') if e.message.reason]
    return min((moment for moment in moments if moment >= since_s), default=None)


def _recovered(world: World, evidence: Evidence, mark: int, node: str) -> None:
    evidence.strike()
    # What was heard before the loss is noticed does not count: two looks, a second apart.
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
    call(world)
    _spoke(world, evidence)
    look_for_reasons(world, evidence, mark, node, WORDS)
    end_dialog(world)


def _spoke(world: World, evidence: Evidence) -> None:
    """The acknowledgement must be audible in the room: the speaker works too."""
    def is_loud() -> bool:
        return float(world.room.status.get('speaker_dbfs', -120.0)) > -60.0

    evidence.require(world.watch.until(is_loud, 8.0), 'the speaker stays silent in the room')
