# SPDX-License-Identifier: Apache-2.0
"""Which numbered lines of each sender are in the log already."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict

SENDERS = 256
RANGES = 64

Sender = tuple[str, str]
"""sender_id and source."""


class Ranges:
    """A set of whole numbers that mostly count up: sorted, disjoint [first, end) ranges."""

    def __init__(self, ranges: list[list[int]] | None = None) -> None:
        self.ranges = ranges or []

    def __contains__(self, number: int) -> bool:
        """Whether ``number`` has been added."""
        place = bisect_right(self.ranges, [number, number]) - 1
        # [number, end) sorts behind [number, number], so look at both neighbours.
        near = self.ranges[max(0, place):place + 2]
        return any(first <= number < end for first, end in near)

    def add(self, first: int, count: int) -> None:
        """Add ``count`` numbers from ``first`` on. With too many gaps the lowest are forgotten."""
        merged: list[list[int]] = []
        for start, end in sorted([*self.ranges, [first, first + count]]):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        self.ranges = merged[-RANGES:]


class SeenLines:
    """The numbers of every sender's lines; the sender that was silent longest is forgotten."""

    def __init__(self) -> None:
        self._senders: OrderedDict[Sender, Ranges] = OrderedDict()

    def unseen(self, sender: Sender, first: int, count: int) -> list[int]:
        """Which of ``count`` lines are new, as offsets from ``first``."""
        ranges = self._senders.get(sender)
        if ranges is None:
            return list(range(count))
        return [offset for offset in range(count) if first + offset not in ranges]

    def add(self, sender: Sender, first: int, count: int) -> None:
        """Note lines that are in the log."""
        self._senders.setdefault(sender, Ranges()).add(first, count)
        self._senders.move_to_end(sender)
        while len(self._senders) > SENDERS:
            self._senders.popitem(last=False)

    def dump(self) -> list[list[object]]:
        """Everything, as JSON can carry it."""
        return [[*sender, ranges.ranges] for sender, ranges in self._senders.items()]

    def load(self, dumped: list[list[object]]) -> None:
        """Take over what :meth:`dump` gave. Raises ValueError or TypeError when it is not that."""
        for sender_id, source, ranges in dumped:
            for first, end in ranges:  # type: ignore[attr-defined]
                self.add((str(sender_id), str(source)), int(first), int(end) - int(first))
