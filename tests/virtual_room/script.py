# SPDX-License-Identifier: Apache-2.0
"""What the user of the demonstration says, and in which order."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from virtual_room.voices import RATE, Voices

WAKE = 'Hey Jarvis.'
NEAR_MISS = 'Hey Marcus.'
QUESTIONS = ('What is the capital of France?', 'And what language do people speak there?',
             'How many days are in a week?')
VOICE = 'am_michael'


@dataclass(frozen=True)
class Line:
    """Something the user says."""

    text: str
    'the words that the assistant should understand'
    wav: Path
    spoken: str = ''
    'all of the words, when that is more'

    @property
    def shown(self) -> str:
        return self.spoken or self.text


@dataclass(frozen=True)
class Script:
    """The lines of one conversation."""

    wake: Line
    first: Line
    follow_up: Line
    near_miss: Line
    one_breath: tuple[Line, ...]
    'each wakes and asks at once'

    @property
    def expected_wakes(self) -> int:
        return 1 + len(self.one_breath)


def from_texts(
    voices: Voices, voice: str = VOICE, questions: tuple[str, ...] = QUESTIONS
) -> Script:
    """A script in a Kokoro voice. Raises ValueError with fewer than three questions."""
    if len(questions) < 3:
        raise ValueError(
            f'{len(questions)} questions: expected at least 3 (asked, followed up, in one breath)'
        )

    def line(text: str) -> Line:
        return Line(text, voices.wav(text, voice))

    def breath(text: str) -> Line:
        spoken = f'Hey Jarvis, {text[0].lower()}{text[1:]}'
        return Line(text, voices.wav(spoken, voice), spoken)

    return Script(line(WAKE), line(questions[0]), line(questions[1]), line(NEAR_MISS),
                  tuple(breath(text) for text in questions[2:]))


def with_recordings(
    script: Script,
    folder: Path,
    *,
    wake: Path | None = None,
    near_miss: Path | None = None,
    questions: tuple[tuple[Path, str], ...] = (),
) -> Script:
    """The script with recordings of people instead of some of its lines.

    ``questions``: (sound file, its text) for: asked, follow-up, in one breath (the wake word's
    recording is put before it), further ones in one breath. Raises ValueError for a file that
    cannot be read.
    """
    wake_line = Line(WAKE, _checked(wake)) if wake else script.wake
    lines = [Line(text, _checked(path)) for path, text in questions]
    breaths = [_joined(wake_line, line, folder / f'one_breath_{k}.wav')
               for k, line in enumerate(lines[2:])]
    return Script(
        wake_line,
        lines[0] if lines else script.first,
        lines[1] if len(lines) > 1 else script.follow_up,
        Line('(near miss)', _checked(near_miss)) if near_miss else script.near_miss,
        tuple(breaths) or script.one_breath)


def _checked(path: Path) -> Path:
    try:
        soundfile.info(str(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(f'{path}: not a readable sound file ({error})') from error
    return path


def _read(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(str(path), dtype='float32', always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE)


def _joined(wake: Line, question: Line, target: Path) -> Line:
    """The wake word and a question with 150 ms between their voiced parts, at one loudness."""
    from virtual_room.acoustics import voiced_span
    parts = []
    for line in (wake, question):
        samples = _read(line.wav)
        start, end = voiced_span(samples, RATE)
        part = samples[max(0, start - RATE // 50):end + RATE // 50]
        parts.append(0.1 * part / np.sqrt(np.mean(part ** 2)))
    gap = np.zeros(int(0.11 * RATE), np.float32)
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(target), np.concatenate((parts[0], gap, parts[1])), RATE, subtype='FLOAT')
    return Line(question.text, target, f'Hey Jarvis, {question.text}')
