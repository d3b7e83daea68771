# SPDX-License-Identifier: Apache-2.0
"""Sound on its way to the scorer: one thread, a bounded queue, the oldest gives way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import threading
import time

import numpy as np
import numpy.typing as npt

from va_common.errors import AssistantError, ErrorCode

Chunk = tuple[npt.NDArray[np.int16], int, float]
"""Samples int16 (n,), sequence, Unix time of the first sample."""


class ScoringQueue:
    """Runs ``score(chunk)`` in a thread of its own, in order. The owner calls :meth:`stop`.

    When the thread falls behind, the oldest chunk is dropped and counted: a wake word is wanted
    now or not at all.

    Args:
        score: takes one chunk.
        failed: takes what ``score`` raised; the thread goes on.
        maxsize: chunks that may wait.
    """

    def __init__(self, score: Callable[[Chunk], None], failed: Callable[[Exception], None],
                 maxsize: int) -> None:
        self.dropped = 0
        """Chunks given up because scoring fell behind."""
        self._score = score
        self._failed = failed
        self._maxsize = maxsize
        self._chunks: deque[Chunk] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._busy = False
        self._busy_since_s = 0.0
        self._thread = threading.Thread(target=self._run, name='kwd-scoring', daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """For how many seconds the chunk at hand has been scored; 0 with none at hand."""
        with self._changed:
            return time.monotonic() - self._busy_since_s if self._busy else 0.0

    def put(self, chunk: Chunk) -> None:
        """Queue a chunk; never waits."""
        with self._changed:
            if len(self._chunks) >= self._maxsize:
                self._chunks.popleft()
                self.dropped += 1
            self._chunks.append(chunk)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget what waits."""
        with self._changed:
            self._chunks.clear()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until everything has been scored. False: time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._chunks and not self._busy, timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread after the chunk it is at; idempotent.

        Raises:
            AssistantError: TIMEOUT when that chunk outlasts ``timeout_s``.
        """
        with self._changed:
            self._stopping = True
            self._chunks.clear()
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            message = f'scoring of one chunk still runs after {timeout_s:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._chunks or self._stopping)
                if self._stopping:
                    return
                chunk = self._chunks.popleft()
                self._busy = True
                self._busy_since_s = time.monotonic()
            try:
                self._score(chunk)
            except Exception as error:
                self._failed(error)
