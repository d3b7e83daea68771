# SPDX-License-Identifier: Apache-2.0
"""In a quiet room the voice detector rests, and sound is taken by the chunk."""

import numpy as np
import pytest

from va_common.audio_io import float_to_int16, TimedBuffer
from va_stt.blocks import Block, RATE
from va_stt.capture_pipeline import BLOCK, CapturePipeline, CHUNK
from va_stt.far_end import FarEnd
from va_stt.resting_detector import FRAME, RestingDetector

T0 = 1_000_000.0


class FakeDetector:
    """Says how loud a frame is; keeps what it was asked about."""

    def __init__(self):
        self.frames = []

    def probability(self, frame):
        self.frames.append(frame)
        return float(np.abs(frame).max() > 1000)

    def reset(self):
        """Nothing is kept."""


class FakeCanceller:
    """Takes nothing out; keeps the lengths of what it was given."""

    def __init__(self):
        self.lengths = []

    def process(self, near, far):
        self.lengths.append(len(near))
        return near

    def reset(self):
        """Nothing is kept."""


class Ear:
    """A pipeline in a room with a little noise."""

    def __init__(self):
        self.far_end, self.canceller, self.detector = FarEnd(), FakeCanceller(), FakeDetector()
        self.chunks, self.frames = [], []
        self.pipeline = CapturePipeline(
            self.far_end, self.canceller, self.detector, TimedBuffer(30.0), self.chunks.append,
            self.frames.append)
        self.random = np.random.default_rng(0)
        self.now_s = T0

    def noise(self, seconds):
        return self.random.standard_normal(round(seconds * RATE)) * 1e-3

    def hear(self, sound):
        """Take sound block by block; for each chunk, how old it was when it came out."""
        samples, ages = float_to_int16(sound), []
        for first in range(0, samples.size - BLOCK + 1, BLOCK):
            count = len(self.chunks)
            block = Block(samples[first:first + BLOCK], self.now_s)
            self.now_s = block.end_s
            self.pipeline.feed(block)
            ages += [self.now_s - chunk.end_s for chunk in self.chunks[count:]]
        return ages


@pytest.fixture
def ear():
    return Ear()


def voice(seconds):
    time_s = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.sin(2 * np.pi * 300.0 * time_s)


def test_in_a_quiet_room_it_takes_sound_by_the_chunk_and_no_later(ear):
    ear.hear(ear.noise(4.0))
    count = len(ear.canceller.lengths)
    ages = ear.hear(ear.noise(2.0))
    assert set(ear.canceller.lengths[count:]) == {CHUNK}
    assert max(ages) < 0.001
    assert len(ear.detector.frames) < 2.5 * RATE / FRAME


def test_at_rest_it_tells_how_much_it_waits_for_and_no_less_would_do(ear):
    ear.hear(ear.noise(4.0))
    for _ in range(25):
        wanted = round(ear.pipeline.wants_s * RATE)
        assert wanted > 0
        count = len(ear.chunks)
        ear.hear(ear.noise((wanted - BLOCK) / RATE))
        assert len(ear.chunks) == count
        ear.hear(ear.noise(BLOCK / RATE))
        assert len(ear.chunks) == count + 1


def test_sound_that_does_not_fill_a_block_counts_in_what_it_waits_for(ear):
    ear.hear(ear.noise(4.0))
    before = ear.pipeline.wants_s
    ear.pipeline.feed(Block(np.zeros(100, np.int16), ear.now_s))
    assert ear.pipeline.wants_s == pytest.approx(before - 100 / RATE)


def test_it_waits_for_nothing_while_somebody_speaks_or_the_speaker_plays(ear):
    ear.hear(ear.noise(4.0))
    assert ear.pipeline.wants_s > 0.0
    ear.far_end.add(np.full(CHUNK, 2000, np.int16), ear.now_s)
    assert ear.pipeline.wants_s == 0.0
    ear.hear(ear.noise(4.0))
    assert ear.pipeline.wants_s > 0.0
    ear.hear(voice(0.2))
    assert ear.pipeline.wants_s == 0.0
    ear.hear(ear.noise(4.0))
    ear.pipeline.restart()
    assert ear.pipeline.wants_s == 0.0


def test_every_sample_comes_out_once_and_at_its_time(ear):
    sound = np.concatenate(
        [ear.noise(4.0), voice(0.5), ear.noise(4.0), voice(0.3), ear.noise(0.1)])
    ear.hear(sound)
    heard = np.concatenate([chunk.samples for chunk in ear.chunks])
    np.testing.assert_array_equal(heard, float_to_int16(sound)[:heard.size])
    starts = np.array([chunk.start_s for chunk in ear.chunks])
    np.testing.assert_allclose(starts, T0 + np.arange(len(starts)) * CHUNK / RATE, atol=1e-6)
    assert len(ear.frames) == len(sound) // BLOCK * BLOCK // FRAME


def test_a_voice_is_judged_from_its_first_frames_on_and_in_blocks(ear):
    ear.hear(ear.noise(4.0))
    before, began_s = len(ear.frames), ear.now_s
    ear.hear(voice(0.5))
    voiced = [frame for frame in ear.frames[before:] if frame.probability > 0.5]
    assert voiced[0].start_s - began_s < 0.05
    assert ear.canceller.lengths[-10:] == [BLOCK] * 10


def test_while_the_speaker_plays_it_takes_sound_by_the_block(ear):
    ear.hear(ear.noise(4.0))
    assert ear.canceller.lengths[-1] == CHUNK
    ear.far_end.add(np.full(CHUNK * 5, 2000, np.int16), ear.now_s)
    ear.hear(ear.noise(0.8))
    assert ear.canceller.lengths[-10:] == [BLOCK] * 10
    ear.hear(ear.noise(4.0))
    assert ear.canceller.lengths[-1] == CHUNK


def test_a_gap_in_the_sound_is_not_closed(ear):
    ear.hear(ear.noise(4.0))
    ear.hear(ear.noise(0.04))
    ear.now_s += 3.0
    ear.hear(ear.noise(1.0))
    jumps = np.diff([chunk.start_s for chunk in ear.chunks])
    assert np.sum(jumps > 2.0) == 1


def test_the_detector_hears_a_quarter_of_a_second_before_what_it_is_asked_about():
    detector = FakeDetector()
    resting = RestingDetector(detector)
    random = np.random.default_rng(1)
    frames = [random.integers(-30, 30, FRAME).astype(np.int16) for _ in range(150)]
    assert not any(resting.probability(frame) for frame in frames)
    assert resting.rests
    asked = len(detector.frames)
    loud = np.full(FRAME, 5000, np.int16)
    loud[::2] *= -1
    assert resting.probability(loud) == 1.0
    heard = detector.frames[asked:]
    assert [frame.tolist() for frame in heard] == [f.tolist() for f in (*frames[-8:], loud)]


def test_after_a_reset_it_does_not_rest():
    resting = RestingDetector(FakeDetector())
    for _ in range(150):
        resting.probability(np.zeros(FRAME, np.int16))
    assert resting.rests
    resting.reset()
    assert not resting.rests
