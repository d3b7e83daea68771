# SPDX-License-Identifier: Apache-2.0
"""Clocks of devices that jitter and drift; what is wrong with the sound of a microphone."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from va_common.audio_io import float_to_int16
from va_common.level_meter import LevelMeter
from va_common.sample_clock import SampleClock

RATE = 16000
BLOCK = 320


def follow(seconds, skew, jitter_s=0.003, seed=1, outlier_every=0):
    """Errors of the count in samples, one a block, and the clock."""
    random = np.random.default_rng(seed)
    clock, errors = SampleClock(RATE, 100.0), []
    for number in range(round(seconds * RATE / BLOCK)):
        true_s = 100.0 + number * BLOCK / RATE * (1.0 + skew)
        late_s = 0.04 if outlier_every and number % outlier_every == outlier_every - 1 else 0.0
        clock.take(true_s + random.normal(0, jitter_s) + late_s)
        errors.append((clock.next_s - true_s) * RATE)
        clock.advance(BLOCK)
    return np.array(errors), clock


@pytest.mark.parametrize('skew', [-200e-6, 0.0, 200e-6])
def test_count_is_steady_and_the_rate_is_learned(skew):
    errors, clock = follow(60.0, skew)
    assert np.abs(errors[-1000:]).max() < 5.0
    in_a_second = errors[50:] - errors[:-50]
    assert np.sqrt(np.mean(np.square(in_a_second[-1000:]))) < 1.0
    assert clock.skew == pytest.approx(skew, abs=20e-6)
    assert clock.skew_deviation < 10e-6


def test_late_call_backs_hardly_move_it():
    errors, _ = follow(60.0, 0.0, outlier_every=20)
    assert np.abs(errors[-1000:]).max() < 16.0


def test_known_rate_is_kept_without_stamps():
    clock = SampleClock(RATE, 100.0, 150e-6, 1e-6)
    clock.advance(RATE * 10)
    assert clock.next_s == pytest.approx(110.0 + 0.0015, abs=1e-9)


# level meter -----------------------------------------------------------------------------------


def warned(sound):
    meter = LevelMeter()
    for first in range(0, len(sound) - BLOCK + 1, BLOCK):
        meter.feed(sound[first:first + BLOCK], 100 + first / RATE)
    return meter.warnings()


def noise(seconds=12.0, level=0.05):
    return level * np.random.default_rng(2).standard_normal(round(seconds * RATE))


@pytest.mark.parametrize(('value', 'word'), [(32767, 'clipping'), (6000, 'DC offset'),
                                             (0, 'silent')])
def test_meter_warns(value, word):
    assert any(word in text for text in warned(np.full(12 * RATE, value, np.int16)))


def test_meter_is_content_with_ordinary_sound():
    meter = LevelMeter()
    meter.feed(float_to_int16(noise(0.5, 0.03)), 100.0)
    assert meter.warnings() == []
    assert meter.level_dbfs == pytest.approx(-30, abs=2)
    assert -25 < meter.peak_dbfs < -10


def test_telephone_sound_is_told_from_a_dull_voice():
    telephone = soxr.resample(soxr.resample(noise(), RATE, 8000), 8000, RATE)
    assert any('telephone' in text for text in warned(float_to_int16(telephone)))
    dull = np.convolve(noise(), np.hanning(12) / 6, 'same')
    assert warned(float_to_int16(dull)) == []


def test_clipping_is_forgotten():
    sound = np.concatenate([np.full(BLOCK, 32767), np.full(11 * RATE, 3)]).astype(np.int16)
    assert warned(sound) == []
