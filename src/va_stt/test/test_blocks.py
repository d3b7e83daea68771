# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from va_stt.blocks import Block, GapFiller, Reblock
from va_stt.capture_clock import CaptureClock


def block(count: int, start_s: float = 100.0, value: int = 1) -> Block:
    return Block(np.full(count, value, np.int16), start_s)


def test_reblock_keeps_samples_and_times():
    cutter = Reblock(512)
    sound = np.arange(2000, dtype=np.int16)
    out = [b for k in range(0, 2000, 250)
           for b in cutter.feed(Block(sound[k:k + 250], 100 + k / 16000))]
    assert [len(b.samples) for b in out] == [512, 512, 512]
    assert np.array_equal(np.concatenate([b.samples for b in out]), sound[:1536])
    assert [b.start_s for b in out] == pytest.approx([100, 100.032, 100.064])


def test_what_waits_can_still_be_replaced():
    cutter = Reblock(512)
    assert [len(b.samples) for b in cutter.feed(block(700))] == [512]
    cutter.overwrite(np.full(100, 9, np.int16))
    (rest,) = cutter.feed(block(324, 100 + 700 / 16000))
    assert (rest.samples[:88] == 1).all() and (rest.samples[88:188] == 9).all()
    cutter.overwrite(np.full(100, 9, np.int16))


def test_gap_is_filled_with_silence_and_counted():
    filler = GapFiller()
    filler.feed(block(1600))
    filled = filler.feed(block(1600, 100.3))
    assert len(filled.samples) == 1600 + 3200
    assert filled.start_s == pytest.approx(100.1)
    assert not filled.samples[:3200].any()
    assert (filler.gaps, filler.lost_s) == (1, pytest.approx(0.2))


def test_long_gap_is_counted_not_filled():
    filler = GapFiller()
    filler.feed(block(1600))
    assert len(filler.feed(block(1600, 105.0)).samples) == 1600
    assert filler.lost_s == pytest.approx(4.9)


def settled_clock() -> tuple[CaptureClock, float]:
    clock = CaptureClock(16000)
    now_s = 100.0
    while not clock.settled:
        clock.stamp(now_s, 320)
        now_s += 0.02
    return clock, now_s


def test_clock_smooths_jitter_and_follows_drift():
    clock, now_s = settled_clock()
    random = np.random.default_rng(1)
    errors = []
    for k in range(3000):
        true_s = now_s + k * 0.02 * (1 + 200e-6)
        errors.append(clock.stamp(true_s + random.normal(0, 0.003), 320) - true_s)
    assert np.std(errors[500:]) < 0.0005
    assert np.max(np.abs(errors[500:])) < 0.002
    assert clock.jumps == 0


def test_clock_ignores_one_wrong_report_and_steps_after_many():
    clock, now_s = settled_clock()
    clock.stamp(now_s + 0.3, 320)
    assert clock.stamp(now_s + 0.02, 320) == pytest.approx(now_s + 0.02, abs=0.001)
    for k in range(2, 10):
        last_s = clock.stamp(now_s + 0.5 + 0.02 * k, 320)
    assert last_s == pytest.approx(now_s + 0.5 + 0.18, abs=0.001)
    assert clock.jumps == 1


def test_clock_settles_on_wrong_first_reports():
    clock = CaptureClock(16000)
    late_s = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]  # as PulseAudio reports at first
    for k in range(100):
        wrong_s = late_s[k] if k < len(late_s) else 0.0
        stamp_s = clock.stamp(100 + 0.02 * k - wrong_s, 320)
        if k < len(late_s):
            assert not clock.settled
    assert clock.settled
    assert stamp_s == pytest.approx(100 + 0.02 * 99, abs=0.002)
