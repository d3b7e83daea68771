# SPDX-License-Identifier: Apache-2.0
"""One mode: a room, a system, a user; then the figures out of the recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import shutil
from typing import Any

from command_line import EndedEarly, Measured
from virtual_room.hearing import Ear
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings
from virtual_room.voices import Voices

from voice import peers
from voice.bench import PER_DIALOG, print_line
from voice.ears import Ears
from voice.figures import listened, read_channels, spread, summary, Wait, waits
from voice.modes import make, Place, PRODUCT
from voice.reports import disagreement, gaps, records, stages
from voice.systems import Assistant, System
from voice.talk import Line, Talk
from voice.texts import script, WAKE

Parts = dict[str, tuple[str, dict[str, Any]]]


def run_mode(mode: str, options: argparse.Namespace) -> Measured:
    """The parts of the scorecard that a mode fills.

    Its recordings take the place of the former ones only when there are figures.

    Raises:
        NotComing: the system did not start or went away before its first turn.
        RoomError: there is no room, or it broke.
    """
    folder, made = options.out / 'voice' / mode, options.out / 'voice' / f'{mode}.new'
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    system = make(mode, Place(made, options.port_offset, options.ros_domain,
                              peers.python() or Path('python')))
    room = VirtualRoom(RoomSettings(out=str(made), seed=options.seed))
    lines, ended_early = _talk(system, room, options.turns)
    mic, speaker = read_channels(room.mic_wav, room.speaker_wav)
    found = waits(lines, mic, speaker, room.t0_s)
    _write(found, made / 'waits.jsonl')
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)
    asked = [wait for wait in found if wait.line.kind == 'question']
    figure = summary(asked)
    parts: Parts = {'voice_to_voice_ms': (mode, {mode: figure})}
    how = _how(room) | listened(asked, speaker, _answers(system, folder), Ear()) | {
        'n': f'{len(asked)} of {options.turns} turns'}
    if mode in PRODUCT:
        latency = records(folder / 'log', 'LATENCY')
        figure['gap_ms'] = gaps(records(folder / 'log', 'ASSISTANT'))
        how['report_minus_recording_ms'] = disagreement(asked, latency)
        parts |= {'stages_ms': (mode, {mode: stages(latency)}),
                  'wake_to_ack_ms': ('wake_to_ack', _woken(folder.parent))}
    return Measured(parts, how, ended_early)


def _talk(system: System, room: VirtualRoom, turns: int) -> tuple[list[Line], str]:
    """What was said, and why not all of it."""
    dialogs = script(turns, PER_DIALOG)
    voices = Voices(tell=print_line)
    voices.prepare((text, voice) for voice, asked in dialogs for text in (WAKE, *asked))
    with room:
        ears = Ears(room.speaker_wav, system.problem)
        talk = Talk(room, system, ears, voices, print_line)
        try:
            system.start(room.environment())
            system.wait_ready(ears)
            with EndedEarly() as early:
                talk.hold(dialogs)
        finally:
            system.stop()
    early.require(talk.lines)
    return talk.lines, early.reason


def _woken(folder: Path) -> dict[str, Any]:
    """Wake words of all modes of the assistant that were measured, also before."""
    rows = [json.loads(line) for mode in PRODUCT for path in [folder / mode / 'waits.jsonl']
            if path.exists() for line in path.read_text().splitlines()]
    woken = [row for row in rows if row['kind'] == 'wake']
    answered = [row['wait_ms'] for row in woken if row['outcome'] == 'answered']
    return spread(answered) | {'missed': len(woken) - len(answered)}


def _answers(system: System, folder: Path) -> list[str]:
    if isinstance(system, Assistant):
        return [str(record['text']) for record in records(folder / 'log', 'ASSISTANT')]
    return [str(event['text']) for event in getattr(system, 'events', [])
            if event.get('event') == 'reply']


def _how(room: VirtualRoom) -> dict[str, Any]:
    """How far the room's own clock can be trusted: all of it stands still on a quiet machine."""
    summary = room.summary
    return {'room': {'wander_ms': round(summary['wander_ms'], 1),
                     'slip_ms': round(summary['slip_ms'], 1), 'lost_blocks': summary['lost']}}


def _write(found: list[Wait], path: Path) -> None:
    lines = [json.dumps({
        'kind': w.line.kind, 'text': w.line.text, 'voice': w.line.voice, 'outcome': w.outcome,
        'wait_ms': round(w.wait_ms, 1), 'clock_ms': round(w.clock_ms, 1),
        'gap_ms': round(w.gap_ms), 'speaker_sample': w.sound[0]}) for w in found]
    path.write_text('\n'.join(lines) + '\n')
