# SPDX-License-Identifier: Apache-2.0
"""One mode: a room, a system, a user; then the figures out of the recordings."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from virtual_room.hearing import Ear
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings
from virtual_room.voices import Voices

from voice import peers
from voice.bench import PER_DIALOG
from voice.ears import Ears
from voice.figures import listened, read_channels, spread, summary, Wait, waits
from voice.modes import make, Place, PRODUCT
from voice.reports import disagreement, records, stages
from voice.systems import Assistant, System
from voice.talk import Talk
from voice.texts import script, WAKE

Figures = dict[str, Any]


def run_mode(mode: str, folder: Path, options: argparse.Namespace,
             tell: Callable[[str], None]) -> Figures:
    """Part of the scorecard → (family, figures), and ``how`` it was measured.

    Raises:
        NotComing: the system did not start or went away.
        RoomError: there is no room, or it broke.
    """
    dialogs = script(options.turns, PER_DIALOG)
    voices = Voices(tell=lambda line: tell(f'  {line}'))
    voices.prepare((text, voice) for voice, asked in dialogs for text in (WAKE, *asked))
    place = Place(folder, options.port_offset, options.ros_domain,
                  peers.python() or Path('python'))
    system = make(mode, place)
    room = VirtualRoom(RoomSettings(out=str(folder), seed=options.seed))
    with room:
        ears = Ears(room.speaker_wav, system.problem)
        talk = Talk(room, system, ears, voices, tell)
        try:
            system.start(room.environment())
            system.wait_ready(ears)
            talk.hold(dialogs)
        finally:
            system.stop()
    mic, speaker = read_channels(room.mic_wav, room.speaker_wav)
    found = waits(talk.lines, mic, speaker, room.t0_s)
    _write(found, folder / 'waits.jsonl')
    asked = [wait for wait in found if wait.line.kind == 'question']
    heard = listened(asked, speaker, _answers(system), Ear())
    figures: Figures = {'how': _how(room) | heard | {'turns': options.turns},
                        'voice_to_voice_ms': (mode, {mode: summary(asked)})}
    if mode in PRODUCT and isinstance(system, Assistant):
        latency = records(system.log_dir, 'LATENCY')
        figures['how']['report_minus_recording_ms'] = disagreement(asked, latency)
        figures['stages_ms'] = (mode, {mode: stages(latency)})
        figures['wake_to_ack_ms'] = ('wake_to_ack', _woken(folder.parent))
    return figures


def _woken(folder: Path) -> dict[str, Any]:
    """Wake words of all modes of the assistant that were measured, also before."""
    rows = [json.loads(line) for mode in PRODUCT for path in [folder / mode / 'waits.jsonl']
            if path.exists() for line in path.read_text().splitlines()]
    woken = [row for row in rows if row['kind'] == 'wake']
    answered = [row['wait_ms'] for row in woken if row['outcome'] == 'answered']
    return spread(answered) | {'missed': len(woken) - len(answered)}


def _answers(system: System) -> list[str]:
    if isinstance(system, Assistant):
        return [str(record['text']) for record in records(system.log_dir, 'ASSISTANT')]
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
