# SPDX-License-Identifier: Apache-2.0
"""Judges a conversation by the recordings and writes ``report.json``."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

import numpy as np

from virtual_room.conversation import Record, Said, Turn
from virtual_room.hearing import Ear, onset, RATE, read_recording, share_heard, word_error

HEARD_AT_MOST_WRONG = 0.34
SPOKEN_AT_LEAST = 0.6
_WAKE_WINDOW_S = 2.5


class Judge:
    """Measures one conversation on the two recordings; sample k of both is at ``t0_s`` +
    k/16000 Unix time.
    """

    def __init__(self, record: Record, speaker_wav: Path, t0_s: float, ear: Ear) -> None:
        self.record = record
        self._speaker = read_recording(speaker_wav)
        self._t0 = t0_s
        self._ear = ear

    def sound(self, start_s: float, end_s: float, margin_s: float = 0.4) -> np.ndarray:
        """The speaker channel between two Unix times."""
        return self._speaker[self._index(start_s - margin_s):self._index(end_s + margin_s)]

    def hear(self, start_s: float, end_s: float) -> str:
        """What Whisper hears on the speaker channel."""
        return self._ear.transcribe(self.sound(start_s, end_s)) if end_s > start_s else ''

    def voice_to_voice_ms(self, turn: Turn) -> float:
        """From the user's last voiced sample at the microphone to the reply's first audible
        sample; 0 if none.
        """
        begin = max(turn.said.end_s, turn.playback_start_s - 0.5)
        first = onset(self._speaker, self._index(begin), self._index(turn.playback_end_s))
        return 0.0 if first is None else round((self._t0 + first / RATE - turn.said.end_s) * 1000)

    def wakes(self) -> dict[str, int]:
        """How many wakes were expected, came where one was due, and came anywhere else."""
        due = [said for said in self.record.said if said.wakes]
        hits = Counter(self._cause(seen.received_s, due) for seen in self.record.wakes)
        false = hits.pop(-1, 0) + sum(count - 1 for count in hits.values())
        return {'expected': len(due), 'got': len(hits), 'false': false}

    @staticmethod
    def _cause(time_s: float, due: list[Said]) -> int:
        for index, said in enumerate(due):
            if said.start_s <= time_s <= said.end_s + _WAKE_WINDOW_S:
                return index
        return -1

    def _index(self, time_s: float) -> int:
        return max(0, round((time_s - self._t0) * RATE))


def make_report(judge: Judge, *, profile: str, engines: Mapping[str, str], greeting: str,
                expected_wakes: int, expected_turns: int) -> dict[str, Any]:
    """The report; ``passed`` only if everything that was to be said was said and heard."""
    record = judge.record
    turns = [_turn_entry(judge, turn) for turn in record.turns]
    report: dict[str, Any] = {
        'passed': False, 'profile': profile, 'engines': dict(engines), 'boot_ms': record.boot_ms,
        'greeting': {'expected': greeting, 'heard': judge.hear(*record.greeting_s)},
        'wakes': judge.wakes() | {'expected': expected_wakes}, 'turns': turns, 'problems': []}
    report['problems'] = [*record.problems, *_problems(report, expected_turns)]
    report['passed'] = not report['problems']
    return report


def _turn_entry(judge: Judge, turn: Turn) -> dict[str, Any]:
    return {'dialog_id': turn.dialog_id, 'turn': turn.number, 'woken': turn.woken,
            'user_said': turn.said.line.text, 'heard': turn.heard, 'reply': turn.reply,
            'spoken': judge.hear(turn.playback_start_s, turn.playback_end_s),
            'voice_to_voice_ms': judge.voice_to_voice_ms(turn)}


def _problems(report: dict[str, Any], expected_turns: int) -> list[str]:
    found = []
    greeting, wakes, turns = report['greeting'], report['wakes'], report['turns']
    if greeting['expected'] and share_heard(greeting['expected'], greeting['heard']) < 0.5:
        found.append(f'the greeting "{greeting["expected"]}" was not heard on the speaker '
                     f'(heard "{greeting["heard"]}")')
    if wakes['got'] != wakes['expected']:
        found.append(f'{wakes["got"]} of {wakes["expected"]} wakes')
    if wakes['false']:
        found.append(f'{wakes["false"]} false wakes')
    if len(turns) != expected_turns:
        found.append(f'{len(turns)} of {expected_turns} turns')
    for turn in turns:
        found.extend(f'turn {turn["dialog_id"]}/{turn["turn"]}: {problem}'
                     for problem in _turn_problems(turn))
    return found + _order_problems(turns)


def _turn_problems(turn: dict[str, Any]) -> list[str]:
    found = []
    if word_error(turn['user_said'], turn['heard']) > HEARD_AT_MOST_WRONG:
        found.append(f'said "{turn["user_said"]}", understood "{turn["heard"]}"')
    if not turn['reply']:
        found.append('no reply text')
    elif not turn['spoken']:
        found.append('nothing was heard on the speaker')
    elif share_heard(turn['reply'], turn['spoken']) < SPOKEN_AT_LEAST:
        found.append(f'the reply is "{turn["reply"]}", the speaker said "{turn["spoken"]}"')
    if turn['voice_to_voice_ms'] <= 0:
        found.append('the reply has no beginning on the speaker')
    return found


def _order_problems(turns: list[dict[str, Any]]) -> list[str]:
    """A woken turn opens a dialog, a follow-up continues it with the next number."""
    found = []
    previous: dict[str, Any] | None = None
    for turn in turns:
        if turn['woken']:
            if turn['turn'] != 1 or (previous and previous['dialog_id'] == turn['dialog_id']):
                found.append(
                    f'{turn["dialog_id"]}/{turn["turn"]} should be turn 1 of a new dialog'
                )
        elif previous is None or (previous['dialog_id'], previous['turn'] + 1) != (
                turn['dialog_id'], turn['turn']):
            found.append(
                f'{turn["dialog_id"]}/{turn["turn"]} does not continue the dialog before it'
            )
        previous = turn
    return found


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write it whole or not at all."""
    partial = path.with_suffix('.part')
    partial.write_text(json.dumps(report, indent=2, ensure_ascii=False) + '\n')
    partial.replace(path)
