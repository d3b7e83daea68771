# SPDX-License-Identifier: Apache-2.0
"""What a room does to sound: impulse responses, convolution in real time, a drifting delay, noise,
levels.

All signals are mono float32 in −1..1 at one rate; all randomness comes from a seed.
"""
from __future__ import annotations

import math

import numpy as np


def synthetic_rir(seed: int, rate: int, *, rt60_s: float = 0.25, direct_to_reverb_db: float = 6.0,
                  ) -> np.ndarray:
    """Room impulse response (float32, unit energy): a direct path, early reflections, an
    exponential tail.

    ``rt60_s`` (0.05..1.5) is the time in which the tail falls by 60 dB (Sabine's definition);
    ``direct_to_reverb_db`` the energy of the direct path over that of the rest.
    """
    if not 0.05 <= rt60_s <= 1.5:
        raise ValueError(f'rt60_s is {rt60_s}; expected 0.05 to 1.5')
    generator = np.random.default_rng(seed)
    time = np.arange(int(rate * min(rt60_s, 1.0))) / rate
    tail = generator.standard_normal(time.size) * 10.0 ** (-3.0 * time / rt60_s)
    tail[: int(0.003 * rate)] = 0.0
    for _ in range(6):
        reflection = int(generator.uniform(0.003, 0.020) * rate)
        tail[reflection] += generator.choice((-1.0, 1.0)) * generator.uniform(1.0, 3.0)
    tail *= 10.0 ** (-direct_to_reverb_db / 20.0) / np.sqrt(np.sum(tail ** 2))
    tail[0] = 1.0
    return (tail / np.sqrt(np.sum(tail ** 2))).astype(np.float32)


def prepared_rir(samples: np.ndarray) -> np.ndarray:
    """A measured impulse response made usable: cut to start 1 sample before its direct path, unit
    energy.

    Raises ValueError when it is empty, silent, not finite or longer than 3 s at 16 kHz.
    """
    if samples.ndim != 1 or not 1 <= samples.size <= 48000 or not np.all(np.isfinite(samples)):
        raise ValueError(
            f'impulse response of shape {samples.shape}: expected 1 to 48000 finite mono samples'
        )
    peak = int(np.argmax(np.abs(samples)))
    cut = samples[max(0, peak - 1):]
    energy = float(np.sum(cut ** 2))
    if energy <= 0.0:
        raise ValueError('the impulse response is silent')
    return (cut / math.sqrt(energy)).astype(np.float32)


class BlockConvolver:
    """Convolution with a fixed response, block by block without delay (uniformly partitioned
    overlap-save).
    """

    def __init__(self, response: np.ndarray, block: int) -> None:
        self._block = block
        parts = -(-response.size // block)
        padded = np.zeros(parts * block, np.float32)
        padded[:response.size] = response
        self._spectra = np.fft.rfft(padded.reshape(parts, block), 2 * block, axis=1).astype(
            np.complex64
        )
        self._history = np.zeros((2 * parts, block + 1), np.complex64)
        self._previous = np.zeros(block, np.float32)
        self._position = 0

    def process(self, samples: np.ndarray) -> np.ndarray:
        """``block`` samples in, ``block`` out."""
        parts = len(self._spectra)
        self._position = (self._position - 1) % parts
        spectrum = np.fft.rfft(np.concatenate((self._previous, samples)))
        self._history[self._position::parts] = spectrum
        self._previous = samples
        newest_first = self._history[self._position:self._position + parts]
        mixed = (newest_first * self._spectra).sum(axis=0)
        return np.fft.irfft(mixed)[self._block:].astype(np.float32)


class DriftingDelay:
    """A delay line whose length wanders: linear by ``drift_ppm`` up to ±``span_s`` and back, as
    clocks of two devices do.

    The delay is at least 3 samples + ``span_s``; between samples it is interpolated with 4-point
    Lagrange polynomials, and constant within a block.
    """

    def __init__(
        self, delay_s: float, rate: int, *, drift_ppm: float = 50.0, span_s: float = 0.0005
    ) -> None:
        self._rate = rate
        self._span = span_s * rate
        self._delay = max(delay_s * rate, 3.0 + self._span)
        self._step = drift_ppm * 1e-6
        self._offset = 0.0
        self._line = np.zeros(int(self._delay + self._span) + 4, np.float32)

    @property
    def delay_s(self) -> float:
        """The delay now, in seconds."""
        return (self._delay + self._offset) / self._rate

    def process(self, samples: np.ndarray) -> np.ndarray:
        if abs(self._offset) >= self._span:
            self._step = -math.copysign(self._step, self._offset)
        self._offset = float(
            np.clip(self._offset + self._step * samples.size, -self._span, self._span)
        )
        extended = np.concatenate((self._line, samples))
        first = self._line.size - (self._delay + self._offset)
        self._line = extended[samples.size:]
        whole = math.floor(first)
        window = extended[whole - 1:whole + samples.size + 2]
        return np.convolve(window, _lagrange(first - whole)[::-1], 'valid').astype(np.float32)


def _lagrange(f: float) -> np.ndarray:
    """Weights of x[-1], x[0], x[1], x[2] for the value at 0 ≤ f < 1."""
    return np.array((-f * (f - 1) * (f - 2) / 6, (f + 1) * (f - 1) * (f - 2) / 2,
                     -(f + 1) * f * (f - 2) / 2, (f + 1) * f * (f - 1) / 6))


def pink_noise(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Pink noise (power ∝ 1/f from 50 Hz on), RMS 1, made to be looped without a click."""
    count = int(seconds * rate)
    generator = np.random.default_rng(seed)
    spectrum = generator.standard_normal(count // 2 + 1) + 1j * generator.standard_normal(
        count // 2 + 1
    )
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(count, 1 / rate), 50.0))
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, count)
    return (noise / np.sqrt(np.mean(noise ** 2))).astype(np.float32)


class ThirdBand:
    """48 kHz → 16 kHz, block by block, with a linear-phase low-pass at 7.6 kHz; delays by
    exactly ``delay_s``.
    """

    _TAPS = 97
    delay_s = (_TAPS - 1) / 2 / 48000

    def __init__(self) -> None:
        # A Hamming-windowed sinc, symmetric, of unit gain at 0 Hz.
        index = np.arange(self._TAPS) - (self._TAPS - 1) / 2
        taps = np.sinc(2 * 7600 / 48000 * index) * np.hamming(self._TAPS)
        self._taps = (taps / taps.sum()).astype(np.float32)
        self._tail = np.zeros(self._TAPS - 1, np.float32)

    def process(self, samples: np.ndarray) -> np.ndarray:
        """3·n samples in, n out."""
        extended = np.concatenate((self._tail, samples))
        self._tail = extended[samples.size:]
        windows = np.lib.stride_tricks.sliding_window_view(extended, self._TAPS)[::3]
        return windows @ self._taps


class Loop:
    """An endless signal from a finite one."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples
        self._position = 0

    def take(self, count: int) -> np.ndarray:
        index = (self._position + np.arange(count)) % self._samples.size
        self._position = (self._position + count) % self._samples.size
        return self._samples[index]


def convolved(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The whole convolution, by FFT."""
    length = samples.size + response.size - 1
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[:length].astype(np.float32)


def from_db(decibels: float) -> float:
    """Amplitude factor of a level in dB."""
    return 10.0 ** (decibels / 20.0)


def rms_dbfs(samples: np.ndarray) -> float:
    """RMS level in dB below full scale; −120 for silence."""
    if samples.size == 0:
        return -120.0
    return max(
        -120.0, 10.0 * math.log10(float(np.mean(np.square(samples, dtype=np.float64))) + 1e-12)
    )


def voiced_span(samples: np.ndarray, rate: int, *, below_peak_db: float = 32.0) -> tuple[int, int]:
    """Indices of the first and one past the last voiced sample, judged in frames of 5 ms.

    Voiced: within ``below_peak_db`` of the loudest frame. Raises ValueError for silence.
    """
    frame = max(1, rate // 200)
    count = samples.size // frame
    power = (
        np.mean(
            np.square(samples[: count * frame], dtype=np.float64).reshape(count, frame), axis=1
        )
        if count
        else np.zeros(0)
    )
    if count == 0 or power.max() < 1e-9:
        raise ValueError('the sound is silent')
    voiced = np.flatnonzero(power > power.max() * 10.0 ** (-below_peak_db / 10.0))
    return int(voiced[0]) * frame, int(voiced[-1] + 1) * frame


def speech_level_dbfs(samples: np.ndarray, rate: int) -> float:
    """RMS level of the voiced part only."""
    start, end = voiced_span(samples, rate)
    return rms_dbfs(samples[start:end])
