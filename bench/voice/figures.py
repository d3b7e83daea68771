# SPDX-License-Identifier: Apache-2.0
"""Waiting times out of what was said and what the two devices recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from virtual_room.acoustics import voiced_span
from virtual_room.room_process import read_wav

from voice.sound import end_of_sound, located, longest_gap_s, onset, RATE, Sound
from voice.talk import ACK_S, Line, REPLY_QUIET_S, REPLY_S

SEARCH_S = 0.4
"""How far the room's clock may be off when a clip is looked for in the recording."""
WAIT_S = {'wake': ACK_S, 'question': REPLY_S}


@dataclass(frozen=True)
class Wait:
    """One wait of the user."""

    line: Line
    outcome: str
    """answered, missed, cut_off (spoke before the user had finished), lost (not found in the
    recording of the microphone)."""
    wait_ms: float = 0.0
    """Last voiced sample of the user to first audible one of the assistant."""
    clock_ms: float = 0.0
    """By how much the room's clock and the recording differ on the user's end."""
    end_s: float = 0.0
    """When the user had finished, Unix seconds."""
    heard_s: float = 0.0
    """When the assistant could be heard first, Unix seconds."""
    sound: tuple[int, int] = (0, 0)
    """Where the answer is in the recording of the speaker."""
    gap_ms: float = 0.0
    """Longest silence inside the answer."""


def waits(lines: Iterable[Line], mic: Sound, speaker: Sound, t0_s: float) -> list[Wait]:
    """One for each line, from the recordings; ``t0_s`` is the Unix time of their sample 0."""
    return [_wait(line, mic, speaker, t0_s) for line in lines]


def _wait(line: Line, mic: Sound, speaker: Sound, t0_s: float) -> Wait:
    clip = read_wav(str(line.wav))
    first, last = voiced_span(clip, RATE)
    clip = clip[first:last]
    expected = round((line.start_s - t0_s) * RATE)
    slack = round(SEARCH_S * RATE)
    begin = located(mic, clip, expected - slack, expected + slack)
    if begin is None:
        return Wait(line, 'lost')
    end = begin + clip.size
    clock_ms = ((line.end_s - t0_s) * RATE - end) / RATE * 1e3
    heard = onset(speaker, begin, end + round(WAIT_S[line.kind] * RATE))
    if heard is None:
        return Wait(line, 'missed', clock_ms=clock_ms)
    over = end_of_sound(speaker, heard, REPLY_QUIET_S) or speaker.size
    return Wait(line, 'answered' if heard >= end else 'cut_off', (heard - end) / RATE * 1e3,
                clock_ms, t0_s + end / RATE, t0_s + heard / RATE, (heard, over),
                1e3 * longest_gap_s(speaker, heard, over))


def spread(values: Iterable[float]) -> dict[str, Any]:
    """p50, p95 (linear between the ranks) and number; without values only that."""
    numbers = np.array(list(values), float)
    if not numbers.size:
        return {'p50': None, 'p95': None, 'n': 0}
    p50, p95 = np.percentile(numbers, (50, 95))
    return {'p50': round(float(p50)), 'p95': round(float(p95)), 'n': int(numbers.size)}


def summary(found: list[Wait]) -> dict[str, Any]:
    """The figure of one kind of wait, with what did not count for it.

    ``pause_ms`` is the longest silence inside an answer, that between its sentences included.
    """
    counts = {name: sum(w.outcome == name for w in found)
              for name in ('missed', 'cut_off', 'lost')}
    answered = [w for w in found if w.outcome == 'answered']
    pauses = spread(w.gap_ms for w in answered)
    return spread(w.wait_ms for w in answered) | counts | {
        'pause_ms': {part: pauses[part] for part in ('p50', 'p95')}}


def listened(found: list[Wait], speaker: Sound, said: Iterable[str], ear: Any) -> dict[str, Any]:
    """Whether what came out of the speaker are the answers, by an independent recogniser.

    Args:
        said: what the system says it answered.
        ear: :class:`virtual_room.hearing.Ear`.
    """
    from virtual_room.hearing import share_heard

    known = [text for text in said if text.strip()]
    shares = []
    for wait in found:
        if wait.outcome == 'answered' and known:
            first, last = wait.sound
            text = ear.transcribe(speaker[max(0, first - RATE // 5):last + RATE // 5])
            shares.append(max(share_heard(reply, text) for reply in known))
    return {'replies': len(shares), 'words_heard': round(float(np.mean(shares)), 3)
            if shares else None}


def read_channels(mic: Path, speaker: Path) -> tuple[Sound, Sound]:
    """Both recordings, as long as each other."""
    from virtual_room.hearing import read_recording

    first, second = read_recording(mic), read_recording(speaker)
    length = min(first.size, second.size)
    return first[:length], second[:length]
