# SPDX-License-Identifier: Apache-2.0
"""The voice detector rests while nothing is heard: most of the day."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from va_common.sound_gate import FRAME as GATE_FRAME
from va_common.sound_gate import SoundGate
from va_stt.blocks import Int16

FRAME = 512
CAUGHT_UP = 8
"""Frames, a quarter of a second, that the detector hears before the one it is asked about."""


class VoiceDetector(Protocol):
    """Voice probability of successive frames."""

    def probability(self, frame: Int16) -> float:
        """0 to 1 for a frame (512,) int16."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class RestingDetector:
    """A :class:`VoiceDetector` that asks another one only when something is heard.

    Not thread-safe.
    """

    def __init__(self, detector: VoiceDetector) -> None:
        self._detector = detector
        self._gate = SoundGate(FRAME)
        self._heard = np.zeros(GATE_FRAME, np.int16)
        self._skipped: deque[Int16] = deque(maxlen=CAUGHT_UP)
        self.rests = False
        """Whether nothing was heard in the last frame."""

    def probability(self, frame: Int16) -> float:
        """0 to 1 for a frame (512,) int16; 0 while nothing is heard."""
        self._heard = np.concatenate((self._heard[len(frame):], frame))
        self.rests = not self._gate.is_open(self._heard)
        if self.rests:
            self._skipped.append(frame)
            return 0.0
        while self._skipped:
            self._detector.probability(self._skipped.popleft())
        return self._detector.probability(frame)

    def reset(self) -> None:
        """Forget what was heard."""
        self._detector.reset()
        self._gate.reset()
        self._heard[:] = 0
        self._skipped.clear()
        self.rests = False
