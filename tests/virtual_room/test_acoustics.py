# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from virtual_room.acoustics import (
    BlockConvolver,
    DriftingDelay,
    pink_noise,
    prepared_rir,
    rms_dbfs,
    synthetic_rir,
    ThirdBand,
    voiced_span,
)

RATE, BLOCK = 16000, 320


def by_blocks(processor, samples, block=BLOCK):
    return np.concatenate([processor.process(samples[k:k + block])
                           for k in range(0, samples.size, block)])


@pytest.fixture
def noise():
    return np.random.default_rng(5).standard_normal(50 * BLOCK).astype(np.float32)


def test_block_convolution_is_convolution(noise):
    response = synthetic_rir(3, RATE)
    expected = np.convolve(noise, response)[:noise.size]
    assert np.allclose(by_blocks(BlockConvolver(response, BLOCK), noise), expected, atol=1e-3)


def test_a_synthetic_response_has_unit_energy_and_decays():
    response = synthetic_rir(1, RATE, rt60_s=0.3)
    early, late = response[:RATE // 20], response[RATE // 5:]
    assert np.sum(response ** 2) == pytest.approx(1.0, rel=1e-3)
    assert np.argmax(np.abs(response)) == 0
    assert rms_dbfs(early) - rms_dbfs(late) > 25


def test_the_seed_makes_the_room():
    assert np.array_equal(synthetic_rir(1, RATE), synthetic_rir(1, RATE))
    assert not np.array_equal(synthetic_rir(1, RATE), synthetic_rir(2, RATE))


def test_a_constant_delay_is_exact(noise):
    delayed = by_blocks(DriftingDelay(100 / RATE, RATE, drift_ppm=0.0), noise)
    assert np.allclose(delayed[100:], noise[:-100], atol=1e-5)


def test_the_delay_wanders_within_its_span(noise):
    delay = DriftingDelay(0.02, RATE, drift_ppm=5000.0, span_s=0.0005)
    seen = []
    for k in range(0, noise.size, BLOCK):
        delay.process(noise[k:k + BLOCK])
        seen.append(delay.delay_s)
    assert min(seen) == pytest.approx(0.0195, abs=1e-6)
    assert max(seen) == pytest.approx(0.0205, abs=1e-6)


def test_a_third_of_the_band_keeps_speech_and_loses_the_rest():
    time = np.arange(48000) / 48000
    tone = by_blocks(ThirdBand(), np.sin(2 * np.pi * 1000 * time).astype(np.float32), 960)
    alias = by_blocks(ThirdBand(), np.sin(2 * np.pi * 12000 * time).astype(np.float32), 960)
    assert tone.size == 16000
    assert rms_dbfs(tone[200:]) == pytest.approx(-3.0, abs=0.1)
    assert rms_dbfs(alias[200:]) < -50


def test_pink_noise_has_level_one_and_falls_by_3_db_per_octave():
    spectrum = np.abs(np.fft.rfft(pink_noise(8.0, RATE, 1))) ** 2
    low, high = spectrum[1600:3200].mean(), spectrum[3200:6400].mean()
    assert 10 * np.log10(low / high) == pytest.approx(3.0, abs=0.5)


def test_voice_is_found_between_silences():
    samples = np.zeros(RATE, np.float32)
    samples[4000:8000] = 0.3
    assert voiced_span(samples, RATE) == (4000, 8000)


@pytest.mark.parametrize('samples', [
    np.zeros(0), np.zeros(100), np.array([np.nan, 1.0]), np.ones((10, 2)), np.ones(50000)])
def test_a_useless_response_is_refused(samples):
    with pytest.raises(ValueError, match='response'):
        prepared_rir(samples)


def test_silence_has_no_voice():
    with pytest.raises(ValueError, match='silent'):
        voiced_span(np.zeros(RATE), RATE)
