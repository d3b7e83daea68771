# SPDX-License-Identifier: Apache-2.0
"""What ./va doctor hears of the second that it plays."""

from __future__ import annotations

import numpy as np
import pytest

from va_common.audio_io import float_to_int16, SAMPLE_RATE
from va_loader.sound_check import judge, sweep

PLAYED = sweep()


def heard(gain: float, noise: float = 3e-4, offset: float = 0.0):
    late = np.concatenate([np.zeros(1600), PLAYED])[:len(PLAYED)]
    hiss = noise * np.random.default_rng(1).standard_normal(len(PLAYED))
    return judge(float_to_int16(gain * late + hiss + offset), PLAYED)


def test_the_speaker_is_heard_with_its_delay_and_level():
    found = heard(0.3)
    assert found.problems() == []
    assert found.delay_s == pytest.approx(0.1, abs=0.001)
    assert found.sweep_dbfs == pytest.approx(-36.5, abs=1)
    assert found.room_dbfs == pytest.approx(-70, abs=1)
    assert 'after 100 ms' in found.sentence()


def test_it_is_found_below_the_noise_of_the_room():
    assert heard(0.05, noise=0.01).delay_s == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize('seed', range(5))
def test_a_speaker_that_is_off_is_not_heard(seed):
    noise = 0.01 * np.random.default_rng(seed).standard_normal(2 * SAMPLE_RATE)
    found = judge(float_to_int16(noise), PLAYED)
    assert found.delay_s is None
    assert 'not the speaker' in found.sentence()


@pytest.mark.parametrize(('gain', 'noise', 'offset', 'word'), [
    (60, 0, 0, 'clipping'), (0, 0, 0, 'digital silence'), (0.3, 0, 0.3, 'DC offset')])
def test_trouble_is_a_problem(gain, noise, offset, word):
    (problem,) = heard(gain, noise, offset).problems()
    assert word in problem
