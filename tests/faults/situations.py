# SPDX-License-Identifier: Apache-2.0
"""How to get a running assistant to idle, listening, thinking, speaking, and out of a dialog."""
from __future__ import annotations

from dataclasses import dataclass
import time

from virtual_room.script import WAKE

from faults.evidence import Trouble
from faults.world import QUESTION, World
from va_interfaces.action import Speak
from va_interfaces.srv import Cancel, StopListening, TriggerWake

REACH_S, END_S, HEAR_S = 90.0, 90.0, 10.0
LONG_TEXT = 'I am the robot, and I am telling you where I am going now.'


@dataclass(frozen=True)
class Situation:
    """Where the assistant is."""

    state: str
    dialog_id: str
    mark: int
    'events before the dialog began'


def reach(world: World, when: str) -> Situation:
    """Bring the assistant there. Raises Trouble."""
    end_dialog(world)
    mark = world.watch.mark()
    if when == 'idle':
        return Situation('idle', '', mark)
    answer = world.robot.call(TriggerWake, 'loader/wake')
    if answer.error_code:
        raise Trouble(f'loader/wake: {answer.error_msg}')
    if when == 'listening':
        expect_state(world, when, mark)
    else:
        _ask(world, mark, hold=when == 'thinking')
        expect_state(world, when, mark)
    return Situation(world.watch.state(), answer.dialog_id, mark)


def _ask(world: World, mark: int, hold: bool) -> None:
    """The user asks. ``hold``: a robot's program speaks just then, so the answer has to wait."""
    if world.watch.wait_state(('listening',), REACH_S, mark) is None:
        raise Trouble(f'no dialog began: {world.watch.state()}')
    _, end_s = world.user.say(QUESTION).times()
    if hold:
        world.watch.rest(max(0.0, end_s - 0.3 - time.time()))
        world.robot.send(Speak, 'tts/speak', Speak.Goal(text=LONG_TEXT))


def expect_state(world: World, name: str, mark: int) -> None:
    if world.watch.wait_state((name,), REACH_S, mark) is None:
        raise Trouble(f'it did not get to {name} but is {world.watch.state()}')


def end_dialog(world: World, timeout_s: float = END_S) -> None:
    """Back to idle: whoever speaks is stopped, nobody is listened to. Raises Trouble."""
    deadline = time.monotonic() + timeout_s
    while (state := world.watch.state()) != 'idle':
        if time.monotonic() > deadline:
            raise Trouble(f'not idle after {timeout_s:.0f} s but {state}: '
                          f'{getattr(world.watch.last_state(), "reason", "")}')
        if not world.require().running:
            raise Trouble(f'it has ended: {world.require().product.last_lines(2)}')
        mark = world.watch.mark()
        if state == 'speaking':
            world.robot.call(Cancel, 'tts/stop', Cancel.Request(reason='end of the case'))
        elif state in ('listening', 'follow_up'):
            world.robot.call(StopListening, 'stt/stop',
                             StopListening.Request(reason='end of the case'))
        world.watch.wait(lambda e: e.topic == 'loader/state', 2.0, mark=mark)


def call(world: World) -> str:
    """The user says the wake word in the room; returns the dialog it opened. Raises Trouble."""
    end_dialog(world)
    for _ in range(2):
        mark = world.watch.mark()
        _, end_s = world.user.say(WAKE).times()
        wait_s = end_s - time.time() + HEAR_S
        wake = world.watch.wait(lambda e: e.topic == 'kwd/wake', wait_s, mark=mark)
        if wake is None:
            world.notes.append('the wake word was not heard at once and said again')
            continue
        state = world.watch.wait_state(('acknowledging', 'listening'), HEAR_S, mark)
        if state is not None:
            return str(state.message.dialog_id)
        raise Trouble(f'kwd heard the wake word, but the state is {world.watch.state()}')
    raise Trouble(f'deaf: the wake word was said twice, and the state is {world.watch.state()}')
