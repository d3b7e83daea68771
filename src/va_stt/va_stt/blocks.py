# SPDX-License-Identifier: Apache-2.0
"""Blocks of sound with the time they were captured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16000
MAX_FILL_S = 1.0
MIN_GAP_S = 0.05

Int16 = NDArray[np.int16]


@dataclass(frozen=True)
class Block:
    """Mono sound, int16, 16 kHz, shape (n,)."""

    samples: Int16
    start_s: float
    """Capture time of the first sample, Unix seconds."""

    @property
    def end_s(self) -> float:
        """Time just after the last sample."""
        return self.start_s + len(self.samples) / RATE


def joined(blocks: list[Block]) -> Block:
    """Blocks that follow each other as one."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(np.concatenate([block.samples for block in blocks]), blocks[0].start_s)


class Reblock:
    """Cuts a stream of blocks into blocks of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pending = np.zeros(0, np.int16)

    def feed(self, block: Block) -> Iterator[Block]:
        """The full blocks that ``block`` completes; the rest waits for the next."""
        start_s = block.start_s - len(self._pending) / RATE
        sound = np.concatenate([self._pending, block.samples])
        full = len(sound) // self._size * self._size
        self._pending = sound[full:]
        for first in range(0, full, self._size):
            yield Block(sound[first:first + self._size], start_s + first / RATE)

    @property
    def missing(self) -> int:
        """Samples that the next full block still needs."""
        return self._size - len(self._pending)

    def overwrite(self, samples: Int16) -> None:
        """Put other samples in the place of the newest; only what still waits can be replaced."""
        count = min(len(samples), len(self._pending))
        if count:
            self._pending = np.concatenate([self._pending[:-count], samples[-count:]])

    def clear(self) -> None:
        """Drop what waits."""
        self._pending = np.zeros(0, np.int16)


class GapFiller:
    """Puts silence where a stream lost up to ``MAX_FILL_S``, so that what is around it stays.

    ``lost_s`` counts every lost second, filled or not.
    """

    def __init__(self) -> None:
        self._next_s: float | None = None
        self.gaps = 0
        self.lost_s = 0.0

    def feed(self, block: Block) -> Block:
        """``block``, with silence before it when there is a gap."""
        expected_s, self._next_s = self._next_s, block.end_s
        if expected_s is None:
            return block
        gap_s = block.start_s - expected_s
        if gap_s < MIN_GAP_S:
            return block
        self.gaps += 1
        self.lost_s += gap_s
        if gap_s > MAX_FILL_S:
            return block
        silence = np.zeros(round(gap_s * RATE), np.int16)
        return Block(np.concatenate([silence, block.samples]), expected_s)

    def reset(self) -> None:
        """The stream begins anew; what was before is no gap."""
        self._next_s = None
