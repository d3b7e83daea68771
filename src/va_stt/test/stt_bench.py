# SPDX-License-Identifier: Apache-2.0
"""Runs sound through the whole chain without a clock, a device or ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import float_to_int16, TimedBuffer
from va_common.ids import TurnKey
from va_common.testing import at_once
from va_stt.blocks import Block, RATE
from va_stt.capture_pipeline import CapturePipeline
from va_stt.echo_canceller import NoEchoCanceller
from va_stt.far_end import FarEnd
from va_stt.listening import Listening
from va_stt.turn_events import Kind, TurnEvent
from va_stt.turn_listener import TurnRequest
from va_stt.two_path import TwoPathCanceller
from va_stt.vad_finalize import VadFrame

T0 = 1_000_000.0
BLOCK = 320


def join(*parts: NDArray[np.floating[Any]] | float) -> NDArray[np.float32]:
    """Sounds one after another; a number is so many seconds of a very quiet room."""
    noise = np.random.default_rng(7)
    sounds = [noise.standard_normal(round(p * RATE)) * 3e-4 if isinstance(p, (int, float)) else p
              for p in parts]
    return np.concatenate(sounds).astype(np.float32)


class Bench:
    """The chain with synchronous engines; ``play`` feeds it, ``events`` has what came out."""

    def __init__(self, detector: Any, transcribe: Any, judge: Any = None,
                 canceller: Any = None) -> None:
        self.far_end = FarEnd()
        self.events: list[TurnEvent] = []
        self.frames: list[VadFrame] = []
        self.chunks: list[Block] = []
        self.now_s = T0
        detector.reset()
        buffer = TimedBuffer(45.0)
        self.listening = Listening(buffer.read, transcribe, at_once, judge, at_once)
        self.pipeline = CapturePipeline(
            self.far_end, canceller or NoEchoCanceller(), detector, buffer,
            self.chunks.append, self._on_frame, TwoPathCanceller() if canceller else None)

    def _on_frame(self, frame: VadFrame) -> None:
        self.frames.append(frame)
        self.listening.on_frame(frame)

    def play(self, sound: NDArray[np.float32]) -> None:
        """Feed float sound in [-1, 1] as the microphone."""
        samples = float_to_int16(sound)
        for first in range(0, len(samples) - BLOCK + 1, BLOCK):
            self.pipeline.feed(Block(samples[first:first + BLOCK], self.now_s))
            self.now_s += BLOCK / RATE

    def listen(self, listen_from_s: float | None = None, **options: Any) -> None:
        """Start a turn; ``listen_from_s`` counts from the beginning of the sound."""
        from_s = self.now_s if listen_from_s is None else T0 + listen_from_s
        self.listening.start(
            TurnRequest(TurnKey('d20261122T102233.123456-1a2b', 1), from_s, **options),
            self.events.append)

    @property
    def final(self) -> TurnEvent | None:
        """The FINAL, if there was one."""
        return next((e for e in self.events if e.kind is Kind.FINAL), None)
