# SPDX-License-Identifier: Apache-2.0
"""An independent ear: what a recording says, and how near that is to what it should say."""
from __future__ import annotations

import difflib
from pathlib import Path
import re
from typing import Any

import numpy as np

from va_common.model_catalogue import model_path

MODEL = 'whisper-base'
RATE = 16000
_HEADER = 44
_ONES = (
    'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten',
    'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen',
    'nineteen')
_TENS = (
    '', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety')


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, numbers below 1000 spelled out, ``'s`` and ``it
    is`` alike.
    """
    text = text.lower().replace('’', "'").replace('%', ' percent ')
    text = re.sub(r'\b(it|that|what|there|he|she|how|who|where)\'s\b', r'\1 is', text)
    text = re.sub(r'(\d),(\d{3})', r'\1\2', text)
    text = re.sub(r'\d+', lambda m: f' {_number(int(m[0]))} ', text)
    return re.sub(r"[^a-z0-9' ]", ' ', text).replace("'", '').split()


def _number(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f' {_ONES[value % 10]}' if value % 10 else '')
    if value < 1000:
        rest = f' {_number(value % 100)}' if value % 100 else ''
        return f'{_ONES[value // 100]} hundred{rest}'
    return str(value)


def word_error(expected: str, heard: str) -> float:
    """Word error rate: substitutions, deletions and insertions over the expected words
    (Levenshtein).
    """
    reference, hypothesis = words(expected), words(heard)
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (wanted != got))
    return row[-1] / max(1, len(reference))


def share_heard(expected: str, heard: str) -> float:
    """The share (0..1) of the expected words that were heard, in order."""
    reference, hypothesis = words(expected), words(heard)
    if not reference:
        return 0.0
    blocks = difflib.SequenceMatcher(None, reference, hypothesis, autojunk=False)
    return sum(b.size for b in blocks.get_matching_blocks()) / len(reference)


def read_recording(path: Path) -> np.ndarray:
    """A 16 kHz mono 16-bit recording of the room as float32, also while it is still growing."""
    data = path.read_bytes()[_HEADER:]
    return np.frombuffer(data[:len(data) // 2 * 2], '<i2').astype(np.float32) / 32768.0


def onset(samples: np.ndarray, from_sample: int, to_sample: int, *, level_dbfs: float = -50.0,
          ) -> int | None:
    """The first sample (in steps of 5 ms) from which the sound is louder than ``level_dbfs``."""
    step = RATE // 200
    part = samples[max(0, from_sample):max(0, to_sample)]
    part = part[:part.size // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.mean(part.astype(np.float64) ** 2, axis=1) > 10 ** (level_dbfs / 10))
    return max(0, from_sample) + int(loud[0]) * step if loud.size else None


class Ear:
    """Whisper on recorded sound; its model is loaded when the first sound is heard."""

    def __init__(self) -> None:
        self._model: Any = None

    def transcribe(self, samples: np.ndarray) -> str:
        """16 kHz mono float32 → text; empty for silence."""
        if samples.size < RATE // 10 or float(np.sqrt(np.mean(samples ** 2))) < 1e-4:
            return ''
        if self._model is None:
            from faster_whisper import WhisperModel
            self._model = WhisperModel(str(model_path(MODEL)), device='cpu', compute_type='int8')
        segments, _ = self._model.transcribe(
            samples, language='en', beam_size=1, condition_on_previous_text=False)
        return ' '.join(segment.text.strip() for segment in segments).strip()
