# SPDX-License-Identifier: Apache-2.0
"""The linear canceller: takes echo out, leaves a person's voice; where its sound is used."""

import numpy as np
import pytest
from stt_bench import RATE

from va_common.audio_io import level_dbfs, TimedBuffer
from va_stt.echo_shift import EchoShift
from va_stt.fractional import interpolate
from va_stt.linear_canceller import BLOCK, LinearCanceller
from va_stt.two_path import TwoPathCanceller

SECONDS = 8


def scene(near_from_s=None):
    random = np.random.default_rng(3)
    count = SECONDS * RATE // BLOCK * BLOCK
    far = random.standard_normal(count) * 3000
    room = np.zeros(3000)
    room[1200:] = np.exp(-np.arange(1800) / 250) * random.standard_normal(1800) * 0.05
    room[1200] = 0.4
    size = 1 << 18
    echo = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(room, size))[:count]
    near = np.zeros(count)
    if near_from_s is not None:
        first = round(near_from_s * RATE)
        near[first:] = 1500 * np.sin(np.arange(count - first) * 0.2)
    return far.astype(np.int16), (echo + near).astype(np.int16), near


def cancel(canceller, mic, far):
    return np.concatenate([canceller.process(mic[i:i + BLOCK], far[i:i + BLOCK])
                           for i in range(0, mic.size, BLOCK)])


def test_echo_is_subtracted():
    far, mic, _ = scene()
    clean = cancel(LinearCanceller(), mic, far)
    last = slice(-2 * RATE, None)
    assert level_dbfs(mic[last]) - level_dbfs(clean[last]) > 15


def test_a_voice_over_it_stays_as_it_is():
    far, mic, near = scene(near_from_s=5.0)
    clean = cancel(LinearCanceller(), mic, far)
    last = slice(-2 * RATE, None)
    assert np.corrcoef(clean[last], near[last])[0, 1] > 0.97


def moved(sound, samples):
    """The sound later by a number of samples that grows from the first number to the second."""
    places = np.arange(sound.size) - np.linspace(*samples, sound.size)
    return interpolate(sound.astype(np.float32), places).astype(np.int16)


def test_clocks_that_part_are_followed_though_a_person_speaks():
    far, mic, near = scene(near_from_s=4.0)
    clean = cancel(LinearCanceller(), moved(mic, (0, 12)), far)
    last = slice(-2 * RATE, None)
    expected = moved(near, (0, 12))
    assert np.corrcoef(clean[last], expected[last])[0, 1] > 0.9


def test_a_person_is_told_from_the_echo():
    far, mic, _ = scene(near_from_s=5.0)
    canceller, judged = LinearCanceller(), []
    for i in range(0, mic.size, BLOCK):
        canceller.process(mic[i:i + BLOCK], far[i:i + BLOCK])
        judged.append(canceller.near_db)
    assert max(judged[50:249]) < 12.0
    assert min(judged[255:]) > 12.0


def unexpected(canceller, mic, far):
    """Of each block, whether something is heard in it that is surely no echo."""
    judged = []
    for i in range(0, mic.size, BLOCK):
        canceller.process(mic[i:i + BLOCK], far[i:i + BLOCK])
        judged.append(canceller.near_db > 12.0 and not canceller.in_doubt)
    return np.array(judged)


def test_a_room_that_changes_is_no_person():
    far, mic, _ = scene()
    changed = np.concatenate([mic[:4 * RATE], -mic[4 * RATE:]])
    judged = unexpected(TwoPathCanceller(), changed, far)
    assert judged[200:].mean() < 0.05
    assert judged[300:].sum() == 0


def test_a_person_is_no_change_of_the_room():
    far, mic, _ = scene(near_from_s=5.0)
    judged = unexpected(TwoPathCanceller(), mic, far)
    assert judged[:250].sum() == 0
    assert judged[270:].mean() > 0.9


@pytest.mark.parametrize('later', [-90, 25, 250])
def test_an_echo_that_comes_at_another_time_is_the_same_room(later):
    far, mic, _ = scene()
    seam = 4 * RATE
    moved_mic = np.concatenate([mic[:seam], mic[seam - later:SECONDS * RATE - max(0, later)]])
    moved_mic = np.pad(moved_mic, (0, mic.size - moved_mic.size))[:7 * RATE]
    clean = cancel(TwoPathCanceller(), moved_mic, far[:7 * RATE])
    after = slice(seam + round(0.4 * RATE), seam + RATE)
    assert level_dbfs(moved_mic[after]) - level_dbfs(clean[after]) > 12


def test_noise_tells_no_shift_of_the_echo():
    random, shift = np.random.default_rng(5), EchoShift()
    for _ in range(20):
        shift.feed((1000 * random.standard_normal(BLOCK)).astype(np.int16),
                   1000 * random.standard_normal(BLOCK).astype(np.float32))
        assert shift.samples() == 0


def test_without_a_reference_nothing_changes():
    mic = np.arange(BLOCK, dtype=np.int16)
    assert np.array_equal(LinearCanceller().process(mic, np.zeros(BLOCK, np.int16)), mic)


def test_a_wrong_length_is_refused():
    with pytest.raises(ValueError, match='320'):
        LinearCanceller().process(np.zeros(160, np.int16), np.zeros(160, np.int16))


def test_the_buffer_is_overwritten_where_it_holds_something():
    buffer = TimedBuffer(1.0)
    buffer.append(np.zeros(8000, np.int16), 100.0)
    buffer.overwrite(np.full(1600, 7, np.int16), 100.45)
    buffer.overwrite(np.full(1600, 5, np.int16), 99.95)
    held = buffer.read(100.0, 100.5)
    assert (held[:800] == 5).all() and (held[800:7200] == 0).all() and (held[7200:] == 7).all()
