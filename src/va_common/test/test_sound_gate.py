# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from va_common.sound_gate import FRAME, HOLD_S, SoundGate

PER_S = 12.5


def noise(seconds, dbfs, seed=0, pink=False):
    white = np.random.default_rng(seed).standard_normal(round(seconds * 16000))
    if pink:
        spectrum = np.fft.rfft(white)
        white = np.fft.irfft(spectrum / np.sqrt(np.maximum(1.0, np.arange(len(spectrum)))))
        white /= white.std()
    return white * 32768.0 * 10.0 ** (dbfs / 20.0)


def voice(seconds, dbfs, hz=150.0):
    """Three harmonics in syllables: 5 a second."""
    time = np.arange(round(seconds * 16000)) / 16000
    tone = sum(np.sin(2 * np.pi * hz * k * time) for k in (1, 3, 5)) / np.sqrt(1.5)
    return tone * np.sin(np.pi * 5.0 * time) ** 2 * 32768.0 * 10.0 ** (dbfs / 20.0)


def opens(sound, gate=None):
    """For each frame, whether the gate was open."""
    gate = gate or SoundGate()
    samples = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return np.array([gate.is_open(samples[i:i + FRAME])
                     for i in range(0, samples.size - FRAME + 1, FRAME)])


@pytest.mark.parametrize('pink', [False, True])
@pytest.mark.parametrize('dbfs', [-90.0, -70.0, -50.0, -30.0])
def test_it_is_closed_in_steady_noise(dbfs, pink):
    heard = opens(noise(60.0, dbfs, pink=pink))
    assert heard[:10].all(), 'closed before its noise is known'
    assert heard[round(3 * PER_S):].mean() < 0.05


def test_it_is_closed_in_digital_silence():
    assert not opens(np.zeros(16000 * 10))[round(3 * PER_S):].any()


@pytest.mark.parametrize(('noise_dbfs', 'voice_dbfs'), [
    (-75.0, -60.0), (-60.0, -55.0), (-40.0, -40.0), (-90.0, -75.0)])
def test_a_faint_voice_opens_it_in_its_first_syllable(noise_dbfs, voice_dbfs):
    sound = noise(12.0, noise_dbfs, pink=True)
    begin = round(10.0 * 16000)
    sound[begin:begin + 16000] += voice(1.0, voice_dbfs)
    assert opens(sound)[round(10.0 * PER_S) + 3]


def test_it_stays_open_for_its_hold():
    sound = noise(20.0, -60.0)
    sound[160000:160000 + FRAME] += voice(0.08, -20.0, 500.0)
    heard = opens(sound)
    assert heard[125:125 + round(HOLD_S * PER_S) - 1].all()
    assert not heard[125 + round(HOLD_S * PER_S) + 2:].any()


def test_louder_noise_is_the_new_silence_after_a_while():
    heard = opens(np.concatenate([noise(10.0, -60.0), noise(20.0, -40.0, 1)]))
    assert heard[127]
    assert not heard[-round(10 * PER_S):].any()


def test_a_voice_that_never_pauses_keeps_it_open():
    sound = noise(60.0, -60.0) + voice(60.0, -30.0)
    assert opens(sound).all()


def test_lost_sound_opens_it_for_no_longer_than_a_click():
    sound = noise(30.0, -60.0)
    sound[160000:160000 + 3 * FRAME] = 0.0
    sound[240500:243000] = 0.0
    assert opens(sound)[round(3 * PER_S):].sum() <= 2 * (HOLD_S * PER_S + 2)


def test_after_a_reset_it_is_open_until_its_noise_is_known():
    gate = SoundGate()
    assert not opens(noise(5.0, -60.0), gate)[-1]
    gate.reset()
    assert opens(noise(0.5, -30.0), gate).all()
