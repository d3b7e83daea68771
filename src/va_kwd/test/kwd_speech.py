# SPDX-License-Identifier: Apache-2.0
"""Speech for the tests, made with Kokoro's voices; and a scorer that the test writes."""

from functools import lru_cache

import numpy as np

from va_common.model_catalogue import model_path

RATE = 16_000


@lru_cache(maxsize=1)
def kokoro():
    import tempfile

    from kokoro_onnx import Kokoro

    folder = model_path('kokoro-voices')
    voices = {f.stem: np.fromfile(f, np.float32).reshape(-1, 1, 256)
              for f in folder.glob('[ab][fm]_*.bin')}
    with tempfile.NamedTemporaryFile(suffix='.npz') as file:
        np.savez(file, **voices)
        file.flush()
        return Kokoro(str(next(model_path('kokoro-onnx').glob('*.onnx'))), file.name)


@lru_cache(maxsize=32)
def speak(text, voice='af_heart', speed=1.0):
    """A phrase as int16 (n,) at 16 kHz, without silence at its ends."""
    import soxr

    sound, rate = kokoro().create(text, voice=voice, speed=speed)
    samples = np.clip(soxr.resample(sound, rate, RATE) * 32767, -32768, 32767).astype(np.int16)
    loud = np.flatnonzero(levels(samples) > levels(samples).max() - 30)
    return samples[loud[0] * 160:(loud[-1] + 1) * 160]


def levels(samples):
    """Level of each 10 ms in dB."""
    blocks = samples[:samples.size // 160 * 160].astype(float).reshape(-1, 160)
    return 10 * np.log10(np.mean(blocks ** 2, axis=1) + 1)


def in_a_room(samples, before_s=2.0, after_s=1.5, noise=20, seed=1):
    """A phrase with room noise around it: int16 (n,)."""
    silence = [np.zeros(round(s * RATE), np.int16) for s in (before_s, after_s)]
    sound = np.concatenate((silence[0], samples, silence[1])).astype(float)
    sound += np.random.default_rng(seed).normal(0, noise, sound.size)
    return np.clip(sound, -32768, 32767).astype(np.int16)


def chunks(samples, start_s=1000.0, sequence=0, size=1280):
    """Cut a sound as stt sends it: (samples, sequence, start_s)."""
    for number, at in enumerate(range(0, samples.size - size + 1, size)):
        yield samples[at:at + size], sequence + number, start_s + at / RATE


class FakeScorer:
    """Gives the scores that the test wrote down, frame by frame; 0 after them."""

    def __init__(self, *names):
        self.names = names or ('hey_jarvis',)
        self.script = []
        self.resets = 0
        self.frames = 0
        self.failure = None
        self.whole = 1.0

    def score(self, frame):
        if self.failure is not None:
            raise self.failure
        assert frame.shape == (1280,)
        self.frames += 1
        scores = self.script.pop(0) if self.script else 0.0
        return scores if isinstance(scores, dict) else dict.fromkeys(self.names, scores)

    def whole_phrase(self, name):
        return self.whole

    def reset(self):
        self.resets += 1
