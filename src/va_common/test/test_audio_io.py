# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from va_common.audio_io import (
    float_to_int16,
    int16_to_float,
    level_dbfs,
    StreamResampler,
    TimedBuffer,
    to_mono,
)
from va_common.audio_messages import from_chunk, to_chunk
from va_common.errors import AssistantError
from va_interfaces.msg import AudioChunk


def ramp(count: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int16)


def test_pcm_round_trip_is_exact():
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    assert np.array_equal(float_to_int16(int16_to_float(samples)), samples)


def test_beyond_full_scale_is_clipped():
    assert float_to_int16(np.array([2.0, -2.0])).tolist() == [32767, -32768]


def test_mono_is_the_mean_of_the_channels():
    assert to_mono(np.array([[2, 4], [6, 8]], np.int16)).tolist() == [3, 7]


def test_level_of_a_full_scale_square_is_0_dbfs():
    assert level_dbfs(np.full(100, -32768, np.int16)) == pytest.approx(0.0)
    assert level_dbfs(np.zeros(100, np.int16)) == -120.0
    assert level_dbfs(np.zeros(0, np.int16)) == -120.0


def test_resampler_keeps_a_tone_and_its_length():
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
    resampler = StreamResampler(48_000, 16_000)
    out = np.concatenate([resampler.process(b) for b in np.split(tone, 50)]
                         + [resampler.process(tone[:0], last=True)])
    assert len(out) == pytest.approx(16_000, abs=2)
    assert level_dbfs(out) == pytest.approx(level_dbfs(tone), abs=0.1)


def test_buffer_is_read_by_time():
    buffer = TimedBuffer(1.0, rate=1000)
    buffer.append(ramp(300), 50.0)
    buffer.append(ramp(300, 300), 50.3)
    assert buffer.start_s == pytest.approx(50.0)
    assert buffer.end_s == pytest.approx(50.6)
    assert buffer.read(50.2, 50.4).tolist() == list(range(200, 400))
    assert buffer.read(0.0, 50.001).tolist() == [0]
    assert buffer.read(51.0, 52.0).size == 0


def test_buffer_keeps_the_newest():
    buffer = TimedBuffer(1.0, rate=1000)
    for second in range(3):
        buffer.append(ramp(700, 700 * second), 10.0 + 0.7 * second)
    assert buffer.start_s == pytest.approx(11.1)
    assert buffer.read(0.0, 99.0).tolist() == list(range(1100, 2100))


def test_a_block_longer_than_the_buffer_leaves_its_tail():
    buffer = TimedBuffer(0.1, rate=1000)
    buffer.append(ramp(250), 5.0)
    assert buffer.read(0.0, 99.0).tolist() == list(range(150, 250))
    assert buffer.end_s == pytest.approx(5.25)


def test_a_long_stream_is_held_as_it_was_overwritten_too():
    buffer, random, held = TimedBuffer(0.5, rate=1000), np.random.default_rng(0), []
    now_s = 20.0
    for _ in range(200):
        count = int(random.integers(0, 240))
        buffer.append(ramp(count, len(held)), now_s)
        held += list(range(len(held), len(held) + count))
        now_s += count / 1000
        if count > 100:
            buffer.overwrite(np.full(50, -1, np.int16), now_s - 0.08)
            held[-80:-30] = [-1] * 50
        newest = held[-500:]
        assert buffer.read(0.0, 99.0).tolist() == newest
        assert buffer.read(now_s - 0.3, now_s - 0.1).tolist() == newest[-300:-100]
    assert len(held) > 10_000


def test_a_gap_empties_the_buffer():
    buffer = TimedBuffer(1.0, rate=1000)
    buffer.append(ramp(300), 50.0)
    buffer.append(ramp(300), 60.0)
    assert buffer.start_s == pytest.approx(60.0)


def test_chunk_round_trip():
    chunk = to_chunk(ramp(1280), 7, 12.5, 16_000)
    stamp = chunk.header.stamp
    assert (chunk.sequence, stamp.sec, stamp.nanosec) == (7, 12, 5 * 10**8)
    assert np.array_equal(from_chunk(chunk), ramp(1280))


@pytest.mark.parametrize(('fields', 'named'), [
    ({'sample_rate': 100, 'channels': 1}, 'sample_rate 100'),
    ({'sample_rate': 16_000, 'channels': 0}, 'channels 0'),
    ({'sample_rate': 16_000, 'channels': 2, 'data': [1, 2, 3]}, 'multiple of 2'),
    ({'sample_rate': 8000, 'channels': 1, 'data': [0] * 8001}, 'at most 8000'),
])
def test_a_wrong_chunk_is_refused(fields, named):
    with pytest.raises(AssistantError, match=named):
        from_chunk(AudioChunk(**fields))
