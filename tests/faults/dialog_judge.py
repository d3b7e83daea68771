# SPDX-License-Identifier: Apache-2.0
"""Whether a dialog survived the loss of a process: an apology or the answer, the same dialog, the
follow-up window, a complete file.
"""
from __future__ import annotations

import time

from virtual_room.observer import Seen

from faults.evidence import Evidence
from faults.records import read_dialog, read_records
from faults.situations import Situation
from faults.world import World
from va_interfaces.msg import PlaybackEvent, Transcript

ANSWER_S, WINDOW_S = 60.0, 30.0


def judge_dialog(world: World, evidence: Evidence, victim: str, when: str, situation: Situation,
                 mark: int) -> None:
    """What the user was asking, or was being told, when the victim was lost."""
    if victim not in ('loader', 'forker'):
        if when == 'listening' and victim != 'stt':
            _require_heard(world, evidence, situation.dialog_id, mark)
        reaction = _reaction(world, situation.dialog_id, mark)
        if evidence.require(reaction, f'no answer and no apology within {ANSWER_S:.0f} s'):
            evidence.saw(str(reaction))
            let_window_open(world, evidence, situation.dialog_id, mark)
    _judge_file(world, evidence, situation.dialog_id)


def _require_heard(world: World, evidence: Evidence, dialog_id: str, mark: int) -> None:
    """The turn was open when the process was lost: the question asked then is still heard."""
    heard = world.watch.wait(lambda e: e.topic == 'stt/transcript'
                             and e.message.kind == Transcript.FINAL, ANSWER_S, mark=mark)
    evidence.require(heard is not None and heard.message.dialog_id == dialog_id
                     and heard.message.text,
                     'the question asked just then was not heard in the same dialog')


def _reaction(world: World, dialog_id: str, mark: int) -> str:
    """What the user hears of the turn: its answer, or an apology; empty: nothing."""

    def is_reaction(seen: Seen) -> bool:
        event = seen.message
        return (seen.topic == 'tts/playback' and event.dialog_id == dialog_id
                and event.kind in (PlaybackEvent.STARTED, PlaybackEvent.FINISHED,
                                   PlaybackEvent.PROGRESS)
                and event.source in (PlaybackEvent.SOURCE_REPLY, PlaybackEvent.SOURCE_SPEAK))

    seen = world.watch.wait(is_reaction, ANSWER_S, mark=mark,
                            alive=lambda: world.require().running)
    if seen is None:
        return ''
    return 'answered' if seen.message.source == PlaybackEvent.SOURCE_REPLY else 'apologised'


def let_window_open(world: World, evidence: Evidence, dialog_id: str, mark: int) -> None:
    """A long answer is stopped; then the follow-up window of the same dialog opens."""
    from va_interfaces.srv import Cancel

    deadline = time.monotonic() + WINDOW_S
    while time.monotonic() < deadline:
        states = [e.message for e in world.watch.since(mark, 'loader/state')]
        if any(s.name == 'follow_up' and s.dialog_id == dialog_id for s in states):
            return
        if states and states[-1].name == 'idle':
            break
        if world.watch.state() == 'speaking' and not _apologises(world, dialog_id, mark):
            world.robot.call(Cancel, 'tts/stop', Cancel.Request(reason='long enough'))
        world.watch.wait(lambda e: e.topic == 'loader/state', 0.5, mark=world.watch.mark())
    evidence.problem(f'no follow-up window of the same dialog; state {world.watch.state()}')


def _apologises(world: World, dialog_id: str, mark: int) -> bool:
    """Whether what is spoken now is a phrase of the loader's own."""
    events = [e.message for e in world.watch.since(mark, 'tts/playback')
              if e.message.dialog_id == dialog_id]
    return not events or events[-1].source == PlaybackEvent.SOURCE_SPEAK


def _judge_file(world: World, evidence: Evidence, dialog_id: str) -> None:
    """The dialog's file is complete: numbered without a gap, nothing twice, its events in it."""
    folder = world.require().log_folder

    def records() -> list[tuple[int, str]]:
        return read_dialog(folder, dialog_id)

    world.watch.until(lambda: bool(records()), 10.0, 0.2)
    numbers = [number for number, _ in records()]
    ids = [record_id for _, record_id in records()]
    evidence.require(numbers, 'the dialog has no file')
    evidence.require(numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                     if numbers else True, f'the records of the dialog are numbered {numbers}')
    evidence.duplicated_records += len(ids) - len(set(ids))
    roles = {record.get('role') for record in read_records(folder, dialog_id)}
    evidence.require('EVENT' in roles, 'the file does not tell of the fault')
