# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from va_stt.far_end import FarEnd
from va_stt.fractional import interpolate

RATE = 16000
RNG = np.random.default_rng(3)
NOISE = np.convolve(RNG.standard_normal(RATE * 4), np.ones(8) / 8, 'same')
SOUND = (NOISE * 5000).astype(np.int16)


def fill(far: FarEnd, jitter_s: float = 0.0, rate: float = RATE) -> None:
    random = np.random.default_rng(4)
    for k in range(0, len(SOUND), 1280):
        far.add(SOUND[k:k + 1280], 100 + k / rate + random.normal(0, 1) * jitter_s)


def read(far: FarEnd, start_s: float, seconds: float) -> np.ndarray:
    blocks = round(seconds / 0.02)
    return np.concatenate([far.read(start_s + 0.02 * k, 320) for k in range(blocks)])


def test_gives_what_plays_at_the_time_asked_for():
    far = FarEnd(lead_s=0.0)
    fill(far)
    assert np.array_equal(far.read(100.5, 320), SOUND[8000:8320])


def test_lead_gives_what_plays_a_little_later():
    far = FarEnd(lead_s=0.04)
    fill(far)
    assert np.array_equal(far.read(100.5, 320), SOUND[8640:8960])


def test_silence_before_after_and_without_chunks():
    far = FarEnd(0.0)
    assert not far.read(100.0, 320).any()
    fill(far)
    assert not far.read(90.0, 320).any()
    assert not far.read(110.0, 320).any()


def test_jitter_of_stamps_leaves_no_seam():
    far = FarEnd(0.0)
    fill(far, jitter_s=0.004)
    out = read(far, 101.0, 2.0).astype(float)
    best = max(np.corrcoef(out[k:k + 320], SOUND[16000 + s + k:16320 + s + k])[0, 1]
               for k in (0, 16000) for s in range(-160, 160))
    assert best > 0.99
    assert np.abs(np.diff(out)).max() < 1.2 * np.abs(np.diff(SOUND.astype(float))).max()


@pytest.mark.parametrize('step_s', [0.01, -0.01])
def test_a_step_of_the_play_times_is_followed_at_once(step_s):
    """An underrun of the speaker: its sound goes on a little elsewhere."""
    far = FarEnd(0.0)
    for k in range(0, len(SOUND), 1280):
        far.add(SOUND[k:k + 1280], 100 + k / RATE + (step_s if k >= 32000 else 0.0))
    out = read(far, 101.0, 2.0)
    assert np.array_equal(out[:15000], SOUND[16000:31000])
    step = round(step_s * RATE)
    # The blocks are off by less than what counts as jitter, and glide.
    best = max(range(-400, 401), key=lambda lag: float(
        out[17600:30400].astype(float) @ SOUND[33600 - lag:46400 - lag]))
    assert best == pytest.approx(step, abs=4)


def test_drift_of_the_speakers_clock_is_followed():
    far = FarEnd(0.0)
    fill(far, rate=RATE * (1 + 200e-6))
    out = read(far, 100.0, 3.9).astype(float)
    expected = interpolate(SOUND.astype(np.float32), np.arange(len(out)) * (1 + 200e-6))
    best = max(np.corrcoef(out[-8000:-100], expected[-8000 + s:-100 + s])[0, 1]
               for s in range(-40, 41))  # 2.5 ms
    assert best > 0.95


def test_newer_announcement_replaces_an_older_one():
    far = FarEnd(0.0)
    far.add(np.full(16000, 1000, np.int16), 100.0)
    far.add(np.full(1600, 2000, np.int16), 100.5)
    assert far.read(100.4, 320)[0] == 1000
    assert far.read(100.55, 320)[0] == 2000
    assert far.read(100.7, 320)[0] == 0


def test_late_chunk_is_counted_and_kept():
    far = FarEnd(0.0)
    far.read(100.0, 320)
    far.add(np.full(1280, 500, np.int16), 99.99)
    assert far.late_chunks == 1
    assert far.read(100.02, 320)[0] == 500


def test_covers_tells_whether_to_wait_for_the_reference():
    far = FarEnd(0.04)
    assert far.covers(100.0)
    far.add(SOUND[:1280], 100.0)
    assert far.covers(100.03)
    assert not far.covers(100.1)
    assert far.covers(100.5)


def test_loud_since_knows_sound_from_silence():
    far = FarEnd(0.0)
    far.add(np.zeros(16000, np.int16), 99.0)
    far.add(SOUND[:16000], 100.0)
    far.read(99.5, 320)
    assert not far.loud_since(99.52, 0.5)
    far.read(100.5, 320)
    assert far.loud_since(100.6, 0.5)
    assert not far.loud_since(102.0, 0.5)


def test_memory_is_bounded():
    far = FarEnd()
    for k in range(2000):
        far.add(SOUND[:1280], 100 + 0.08 * k)
        far.read(100 + 0.08 * k, 320)
    assert sum(len(s.samples) for s in far._stretches) < 20 * RATE


def test_interpolation_is_exact_at_whole_positions_and_close_between():
    x = np.sin(2 * np.pi * 1000 * np.arange(400) / RATE).astype(np.float32)
    assert np.array_equal(interpolate(x, np.arange(400.0)), x)
    between = interpolate(x, np.arange(10.5, 300))
    assert between == pytest.approx(np.sin(2 * np.pi * 1000 * np.arange(10.5, 300) / RATE),
                                    abs=0.01)
    assert not interpolate(x, np.array([-5.0, 500.0])).any()
