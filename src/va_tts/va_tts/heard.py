# SPDX-License-Identifier: Apache-2.0
"""How much of an utterance has been heard, in seconds and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

_SAME_RUN_S = 0.002


@dataclass
class PieceSound:
    """One piece and the parts of it that were handed to the device."""

    text: str
    frames: int = 0
    """All of it, at the device's rate; 0 until it is synthesised."""
    silent: bool = False
    """It has no sound: an emoji, a ruler."""
    runs: list[tuple[float, int]] = field(default_factory=list)
    """(Unix time of the first frame, number of frames)."""

    def add_run(self, start_s: float, frames: int, rate: int) -> None:
        """Note that ``frames`` more are heard from ``start_s`` on."""
        if self.runs:
            last_s, count = self.runs[-1]
            if abs(last_s + count / rate - start_s) < _SAME_RUN_S:
                self.runs[-1] = (last_s, count + frames)
                return
        self.runs.append((start_s, frames))

    @property
    def handed_over(self) -> int:
        """Frames that the device has."""
        return sum(frames for _, frames in self.runs)

    def heard(self, now_s: float, rate: int) -> int:
        """Frames that have been heard at ``now_s``."""
        return sum(
            min(frames, max(0, round((now_s - start_s) * rate))) for start_s, frames in self.runs)


class Heard:
    """What was heard of one utterance.

    Args:
        rate: Hz of the device.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.pieces: list[PieceSound] = []

    @property
    def start_s(self) -> float | None:
        """Unix time of the first sample; None before there is one."""
        starts = [piece.runs[0][0] for piece in self.pieces if piece.runs]
        return min(starts, default=None)

    @property
    def end_s(self) -> float:
        """Unix time just after the last sample that the device has; 0 before there is one."""
        ends = [start_s + frames / self.rate
                for piece in self.pieces for start_s, frames in piece.runs[-1:]]
        return max(ends, default=0.0)

    @property
    def duration_s(self) -> float:
        """Seconds of sound known so far."""
        return sum(piece.frames for piece in self.pieces) / self.rate

    def position_s(self, now_s: float) -> float:
        """Seconds of sound heard at ``now_s``."""
        return sum(piece.heard(now_s, self.rate) for piece in self.pieces) / self.rate

    def begun(self, now_s: float) -> int:
        """Number of pieces of which something has been heard."""
        return sum(bool(piece.heard(now_s, self.rate)) for piece in self.pieces)

    def text(self, now_s: float) -> str:
        """The words heard at ``now_s``: whole pieces, and of the last one its share of words."""
        words: list[str] = []
        for piece in self.pieces:
            if piece.silent:
                words.append(piece.text)
                continue
            frames = piece.heard(now_s, self.rate)
            if not frames:
                break
            words += _share(piece.text, frames / max(1, piece.frames))
        return ' '.join(words)


def _share(text: str, share: float) -> list[str]:
    """The first part of the words; a word counts when all of it was heard.

    How long a word takes is estimated by its letters: the engines tell no times of words.
    """
    if share >= 0.999:
        return [text]
    words = text.split()
    ends = list(accumulate(len(word) + 1 for word in words))
    return [word for word, end in zip(words, ends, strict=True) if end <= share * ends[-1]]
