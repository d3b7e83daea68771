# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import numpy as np
import pytest

from va_common.device_calls import DeviceRetry
from va_common.errors import AssistantError, ErrorCode
from va_common.retry_backoff import Backoff
from va_common.testing import FakeClock, wait_for
from va_stt.audio_thread import AudioThread
from va_stt.blocks import Block
from va_stt.throttle import Throttle
from va_stt.topic_source import TopicSource

BLOCK = Block(np.ones(320, np.int16), 100.0)


class FakeSource:
    """Gives blocks until told to fail; then opening fails ``refusals`` times."""

    def __init__(self, refusals: int = 0) -> None:
        self.failing = threading.Event()
        self.refusals = refusals
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append('open')
        if self.refusals > 0:
            self.refusals -= 1
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'still gone')
        self.failing.clear()

    def start(self) -> None:
        self.calls.append('start')

    def read(self, timeout_s: float, ahead_s: float = 0.0) -> Block | None:
        if self.failing.wait(0.002):
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'unplugged')
        return BLOCK

    def stop(self) -> None:
        self.calls.append('stop')

    def close(self) -> None:
        self.calls.append('close')

    def diagnostics(self) -> dict[str, str]:
        return {}


class FakeSink:
    wants_s = 0.0

    def __init__(self, error: Exception | None = None) -> None:
        self.blocks = self.restarts = 0
        self.error = error

    def feed(self, block: Block) -> None:
        if self.error is not None:
            raise self.error
        self.blocks += 1

    def restart(self) -> None:
        self.restarts += 1


class Rig:
    def __init__(self, source, sink, **options) -> None:
        self.lost: list[str] = []
        self.back = threading.Event()
        self.thread = AudioThread(
            source, sink, on_advance=lambda n: None, on_lost=lambda e: self.lost.append(e.message),
            on_back=self.back.set, retry=DeviceRetry(Backoff((0.001,))), **options)


def test_lost_source_is_reported_once_and_opened_again():
    source, sink = FakeSource(refusals=3), FakeSink()
    rig = Rig(source, sink)
    assert rig.thread.problem is not None
    rig.thread.start()
    wait_for(lambda: rig.thread.problem is None, 5, 'sound')
    source.failing.set()
    assert rig.back.wait(5)
    rig.thread.stop()
    assert rig.lost == ['unplugged']
    assert source.calls.count('open') == 4
    assert sink.restarts == 2


def test_failing_engine_is_a_problem_not_a_silent_thread():
    rig = Rig(FakeSource(), FakeSink(RuntimeError('broken')))
    rig.thread.start()
    wait_for(lambda: rig.lost, 5, 'the failure is told')
    assert 'broken' in rig.thread.problem
    rig.thread.stop()


def test_stop_is_idempotent_and_ends_a_retry():
    source = FakeSource(refusals=10**9)
    source.failing.set()
    rig = Rig(source, FakeSink())
    rig.thread.start()
    wait_for(lambda: rig.lost, 5, 'lost')
    rig.thread.stop()
    rig.thread.stop()
    assert 'stt-audio' not in [t.name for t in threading.enumerate()]


def test_silent_topic_is_a_problem():
    clock, source = FakeClock(), TopicSource()
    rig = Rig(source, FakeSink(), clock=clock)
    rig.thread.start()
    clock.advance(6.0)
    wait_for(lambda: rig.lost, 5, 'the silence is told')
    source.offer(np.ones(1280, np.int16), 16000, 100.0, 0)
    assert rig.back.wait(5)
    rig.thread.stop()


@pytest.mark.parametrize('rate', [16000, 48000])
def test_topic_source_resamples_and_counts_losses(rate):
    source = TopicSource()
    source.offer(np.ones(10, np.int16), rate, 0.0, 0)
    assert source.read(0.0) is None
    source.start()
    chunk = rate // 100 * 8
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(chunk * 20) / rate)).astype(np.int16)
    blocks = []
    for k in range(20):
        source.offer(tone[k * chunk:(k + 1) * chunk], rate, 100 + 0.08 * k, k if k < 10 else k + 1)
        block = source.read(0.1)
        assert block is not None
        blocks.append(block)
    assert source.lost_chunks == 1
    assert sum(len(b.samples) for b in blocks) == pytest.approx(1280 * 20, abs=600)
    assert blocks[-1].end_s == pytest.approx(101.6, abs=0.02)


def test_topic_source_is_bounded():
    source = TopicSource()
    source.start()
    for k in range(100):
        source.offer(np.ones(1280, np.int16), 16000, 100.0, k)
    assert source.missed_chunks == 50


def test_throttle_counts_what_it_holds_back():
    clock = FakeClock()
    throttle = Throttle(5.0, clock)
    assert [throttle.passes() for _ in range(3)] == [1, None, None]
    clock.advance(5.0)
    assert throttle.passes() == 3
