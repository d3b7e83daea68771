# SPDX-License-Identifier: Apache-2.0
"""From sound to wakes: frames, thresholds, one wake per cooldown, and where the word ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from va_common.audio_io import Int16, SAMPLE_RATE
from va_kwd.wake_check import WHOLE
from va_kwd.wake_engine import FRAME, WakeScorer
from va_kwd.wake_words import WakeWord
from va_kwd.word_end import CONTEXT_S, word_end_before

_JITTER_S = 0.06
"""Chunks whose times differ by less follow each other; a lost one is 80 ms."""

# The models look 1.3 s back. While the word leaves that window its score flickers: without this
# one "alexa" in ten woke twice, just after the cooldown.
_REARM_FRACTION = 0.5
_REARM_FRAMES = 3


@dataclass(frozen=True)
class Detection:
    """A wake word was heard."""

    word: WakeWord
    score: float
    """0 to 1."""
    word_end_s: float
    """Unix seconds, where the word ended in the sound."""
    decided_s: float
    """Unix seconds, end of the sound that decided it."""


class Detector:
    """Scores a stream of chunks. Not thread-safe but for its three settings.

    After a gap in the stream the engine starts afresh: sound from before it and after it would
    make a word that nobody said.

    Args:
        engine: scores frames.
        words: what it scores.
        threshold: score from which a word without a threshold of its own counts, 0 to 1.
        cooldown_s: one detection at most within this time of sound, of all words together.
        second_check: whether a word counts only when its whole phrase was said.
    """

    def __init__(self, engine: WakeScorer, words: Sequence[WakeWord], threshold: float,
                 cooldown_s: float, second_check: bool = True) -> None:
        self.threshold = threshold
        self.cooldown_s = cooldown_s
        self.second_check = second_check
        self.gaps = 0
        """How often the stream was interrupted."""
        self._engine = engine
        self._words = {word.name: word for word in words}
        self._quiet = dict.fromkeys(self._words, _REARM_FRAMES)
        self._word_ends: dict[str, float] = {}
        self._last_s = -np.inf
        self._sequence: int | None = None
        self._end_s = 0.0
        self._pending = np.zeros(0, np.int16)
        self._recent = np.zeros(0, np.int16)

    def process(self, samples: Int16, sequence: int, start_s: float) -> list[Detection]:
        """Score the next chunk.

        Args:
            samples: int16 (n,), 16 kHz; frames are cut from the stream as they fill.
            sequence: number of the chunk, one more than that of the chunk before.
            start_s: Unix time of the first sample.

        Returns:
            What was detected, usually nothing.
        """
        if self._is_gap(sequence, start_s):
            self._start_afresh()
        self._sequence = sequence
        self._end_s = start_s + samples.size / SAMPLE_RATE
        self._pending = np.concatenate((self._pending, samples))
        found = []
        while self._pending.size >= FRAME:
            frame, self._pending = self._pending[:FRAME], self._pending[FRAME:]
            frame_end_s = self._end_s - self._pending.size / SAMPLE_RATE
            found += self._score(frame, frame_end_s)
        return found

    def reset(self) -> None:
        """Forget the stream: what comes next is a new one."""
        self._sequence = None
        self._start_afresh()

    def _is_gap(self, sequence: int, start_s: float) -> bool:
        if self._sequence is None:
            return False
        is_gap = sequence != self._sequence + 1 or abs(start_s - self._end_s) > _JITTER_S
        self.gaps += is_gap
        return is_gap

    def _start_afresh(self) -> None:
        self._engine.reset()
        self._pending = self._pending[:0]
        self._recent = self._recent[:0]
        self._word_ends.clear()
        self._quiet = dict.fromkeys(self._words, _REARM_FRAMES)

    def _score(self, frame: Int16, end_s: float) -> list[Detection]:
        self._recent = np.concatenate((self._recent, frame))[-round(CONTEXT_S * SAMPLE_RATE):]
        scores = self._engine.score(frame)
        risen = [name for name, score in scores.items() if self._rises(name, score, end_s)]
        if not risen or end_s - self._last_s < self.cooldown_s:
            return []
        for name in risen:
            self._quiet[name] = 0
        self._last_s = end_s
        best = max(risen, key=lambda name: scores[name])
        return [Detection(self._words[best], scores[best], self._word_ends[best], end_s)]

    def _rises(self, name: str, score: float, end_s: float) -> bool:
        """Whether a score is at its threshold after having been well below it for a while.

        The second check may want a frame or two more; the word ended where the score rose.
        """
        own = self._words[name].threshold
        threshold = self.threshold if own is None else own
        if self._quiet[name] < _REARM_FRAMES:
            is_quiet = score < threshold * _REARM_FRACTION
            self._quiet[name] = self._quiet[name] + 1 if is_quiet else 0
            self._word_ends.pop(name, None)
            return False
        if score < threshold:
            self._word_ends.pop(name, None)
            return False
        self._word_ends.setdefault(name, end_s - word_end_before(self._recent))
        return not self.second_check or self._engine.whole_phrase(name) >= WHOLE
