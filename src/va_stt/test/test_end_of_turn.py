# SPDX-License-Identifier: Apache-2.0
"""The melody of a voice, and what is made of it and of Smart Turn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from va_stt.end_of_turn import EndOfTurn
from va_stt.intonation import final_fall, HALF_RATE, pitch

RATE = 16000


def voice(*pitches_hz: float, seconds_each: float = 0.4) -> np.ndarray:
    """A buzz with eight harmonics that glides from pitch to pitch, int16."""
    count = round(seconds_each * RATE)
    hz = np.concatenate([np.linspace(a, b, count)
                         for a, b in pairwise(pitches_hz)])
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 9))
    return np.asarray(5000 * sound, np.int16)


@pytest.mark.parametrize('hz', [80.0, 110.0, 190.0, 320.0])
def test_pitch_of_a_steady_voice(hz):
    half = voice(hz, hz)[::2] / 32768
    found = pitch(half)
    assert np.median(found) == pytest.approx(hz, rel=0.02)
    assert np.mean(found > 0) > 0.9


@pytest.mark.parametrize('sound', [
    np.zeros(4000), 0.1 * np.random.default_rng(1).standard_normal(4000), np.zeros(10)])
def test_no_pitch_without_a_voice(sound):
    assert np.mean(np.append(pitch(sound), 0.0) > 0) < 0.1
    assert HALF_RATE == 8000


def test_a_voice_that_sinks_and_one_that_stays_up():
    body = (140, 150, 160, 150, 140)
    assert final_fall(voice(*body, 100)) < -2
    assert final_fall(voice(*body, 145)) > -1
    assert final_fall(voice(*body, 190)) > -1


def test_silence_after_the_voice_changes_nothing():
    sound = voice(140, 160, 150, 100)
    later = np.concatenate([sound, np.zeros(RATE // 2, np.int16)])
    assert final_fall(later) == pytest.approx(final_fall(sound), abs=0.3)


@pytest.mark.parametrize('sound', [np.zeros(0, np.int16), np.zeros(RATE, np.int16),
                                   voice(140, 150, seconds_each=0.2)])
def test_too_little_voice_tells_nothing(sound):
    assert final_fall(sound) is None
    assert 0.0 < EndOfTurn(lambda _: 0.98).probability(sound) < 1.0


def test_both_count():
    sinks, stays = voice(140, 160, 150, 100), voice(140, 160, 150, 150)

    def judged(complete: float, sound: np.ndarray) -> float:
        return EndOfTurn(lambda _: complete).probability(sound)

    assert judged(0.98, sinks) > judged(0.98, stays)
    assert judged(0.98, sinks) > judged(0.5, sinks)
    assert 0.0 < judged(0.0, stays) < judged(1.0, sinks) < 1.0
