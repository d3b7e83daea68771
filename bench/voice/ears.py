# SPDX-License-Identifier: Apache-2.0
"""The user's ears: what comes out of the speaker, while it is being recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time

import numpy as np

from voice.sound import FRAME, loud_frames, RATE

_HEADER = 44
_POLL_S = 0.05
_FRAMES_PER_S = RATE // FRAME


class NotComing(Exception):
    """Something that should have been heard was not."""


class Ears:
    """Listens to a growing 16 kHz mono 16-bit recording.

    Times are seconds since its beginning.

    Args:
        path: the WAV.
        alive: says why nothing more can come; empty while it can.
    """

    def __init__(self, path: Path, alive: Callable[[], str] = lambda: '') -> None:
        self._path = path
        self._alive = alive
        self._rest = b''
        self._read = _HEADER
        self._loud = np.zeros(0, bool)

    @property
    def now_s(self) -> float:
        """How long the recording is."""
        self._listen()
        return self._loud.size / _FRAMES_PER_S

    def wait_for_sound(self, since_s: float, timeout_s: float) -> float | None:
        """When something was audible at or after ``since_s``; None when the time is up."""
        def heard() -> float | None:
            first = round(since_s * _FRAMES_PER_S)
            loud = np.flatnonzero(self._loud[first:])
            return (first + int(loud[0])) / _FRAMES_PER_S if loud.size else None
        return self._wait(heard, timeout_s)

    def wait_for_quiet(self, since_s: float, quiet_s: float, timeout_s: float) -> float:
        """When it was quiet for ``quiet_s``, all of it after ``since_s``: where that began.

        Raises NotComing when the speaker does not fall silent in time.
        """
        def fallen() -> float | None:
            first = round(since_s * _FRAMES_PER_S)
            loud = np.flatnonzero(self._loud[first:])
            begin = first + (int(loud[-1]) + 1 if loud.size else 0)
            silent = self._loud.size - begin
            return begin / _FRAMES_PER_S if silent >= quiet_s * _FRAMES_PER_S else None
        found = self._wait(fallen, timeout_s)
        if found is None:
            raise NotComing(f'the speaker was not silent for {quiet_s:.1f} s within '
                            f'{timeout_s:.0f} s')
        return found

    def _wait(self, look: Callable[[], float | None], timeout_s: float) -> float | None:
        deadline = time.monotonic() + timeout_s
        while True:
            self._listen()
            if (found := look()) is not None:
                return found
            if reason := self._alive():
                raise NotComing(reason)
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)

    def _listen(self) -> None:
        with self._path.open('rb') as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        data = self._rest + new
        whole = len(data) // (2 * FRAME) * 2 * FRAME
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], '<i2').astype(np.float32) / 32768.0
        self._loud = np.append(self._loud, loud_frames(samples))
