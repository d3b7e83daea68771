# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for unit tests: an engine whose speech is a tone, a device driven by a fake clock."""

import threading

import numpy as np

from va_common.errors import AssistantError, ErrorCode
from va_common.testing import FakeClock
from va_tts.kokoro_client import SAMPLE_RATE
from va_tts.playout import Playout

RATE = 48_000
LATENCY_S = 0.03
BLOCK = 480


class FakeEngine:
    """Speaks 0.1 s of a tone for each word; can be held and made to fail."""

    name = 'onnx'

    def __init__(self) -> None:
        self.spoken: list[tuple[str, str, float]] = []
        self.go = threading.Event()
        self.go.set()
        self.error: AssistantError | None = None
        self.aborted = threading.Event()
        self.closed = False

    def synthesise(self, text: str, voice: str, speed: float) -> np.ndarray:
        self.aborted.clear()
        self.spoken.append((text, voice, speed))
        while not self.go.wait(0.01):
            if self.aborted.is_set():
                raise AssistantError(ErrorCode.CANCELLED, 'synthesis aborted')
        if self.error is not None:
            raise self.error
        return tone(0.1 * len(text.split()), SAMPLE_RATE)

    def abort(self) -> None:
        self.aborted.set()

    def close(self) -> None:
        self.closed = True


class FakeDevice:
    """Takes blocks of 10 ms from a line; time passes only here."""

    def __init__(self, playout: Playout, clock: FakeClock) -> None:
        self.playout = playout
        self.clock = clock
        self.heard = np.zeros(0, np.float32)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * RATE / BLOCK)):
            block = np.ones(BLOCK, np.float32)
            self.playout.fill(block, self.clock() + LATENCY_S)
            self.heard = np.concatenate([self.heard, block])
            self.clock.advance(BLOCK / RATE)


def tone(seconds: float, rate: int, level: float = 0.3) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.cos(2 * np.pi * 440 * time)).astype(np.float32)
