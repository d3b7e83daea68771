# SPDX-License-Identifier: Apache-2.0
"""The sound around wakes: off unless set, 2 s before and 1 s after, private, a bounded number."""

from pathlib import Path
import stat
import sys
import wave

import numpy as np
import pytest

from va_common.errors import AssistantError, ErrorCode
from va_kwd.detector import Detection
from va_kwd.wake_clips import WakeClips, write_clip
from va_kwd.wake_words import WakeWord

sys.path.insert(0, str(Path(__file__).parent))
from kwd_speech import chunks

JARVIS = WakeWord('hey_jarvis', Path('j'))
SOUND = np.arange(16000 * 8, dtype=np.int32).astype(np.int16)


def wake(at_s):
    return Detection(JARVIS, 0.876, at_s - 0.04, at_s)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def clips(tmp_path, failures):
    clips = WakeClips(tmp_path / 'wakes', lambda job, *args: job(*args), failures.append)
    clips.limit = 3
    return clips


def hear(clips, wakes_s, sound=SOUND, start_s=1000.0):
    """Feed a stream; a wake is told with the chunk at whose end it was decided."""
    for samples, _, at_s in chunks(sound, start_s):
        clips.hear(samples, at_s)
        for wake_s in wakes_s:
            if at_s < wake_s <= at_s + 0.08:
                clips.keep(wake(wake_s))


def read(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        return np.frombuffer(file.readframes(file.getnframes()), '<i2')


def files(tmp_path):
    return sorted((tmp_path / 'wakes').glob('*'))


def test_two_seconds_before_and_one_after(clips, tmp_path):
    hear(clips, [1004.0])
    (path,) = files(tmp_path)
    assert path.name == 'wake_19700101T001644.000Z_hey_jarvis_0.88.wav'
    assert np.array_equal(read(path), SOUND[2 * 16000:5 * 16000])


def test_private(clips, tmp_path):
    hear(clips, [1004.0])
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_is_written_unless_it_is_set(clips, tmp_path):
    clips.limit = 0
    hear(clips, [1004.0])
    assert not (tmp_path / 'wakes').exists()


def test_set_to_none_while_a_wake_waits(clips, tmp_path):
    hear(clips, [1004.0], SOUND[:16000 * 4 + 1280])
    clips.limit = 0
    hear(clips, [], start_s=1004.08)
    assert not (tmp_path / 'wakes').exists()


def test_two_wakes_within_a_second_are_two_clips(clips, tmp_path):
    hear(clips, [1003.0, 1003.4])
    assert [read(p).size for p in files(tmp_path)] == [48000, 48000]


def test_a_wake_just_after_the_start_has_what_there_is(clips, tmp_path):
    hear(clips, [1000.5])
    (path,) = files(tmp_path)
    assert np.array_equal(read(path), SOUND[:round(1.5 * 16000)])


def test_a_wake_whose_stream_ends_is_not_kept(clips, tmp_path):
    hear(clips, [1004.0], SOUND[:16000 * 4 + 1280])
    clips.reset()
    hear(clips, [], start_s=2000.0)
    assert not (tmp_path / 'wakes').exists()


def test_the_oldest_beyond_the_limit_go_and_other_files_stay(tmp_path):
    (tmp_path / 'mine.wav').write_text('not a clip')
    for number in range(6):
        write_clip(tmp_path, 3, f'wake_{number}_x.wav', SOUND[:160])
    assert [p.name for p in sorted(tmp_path.glob('*'))] == [
        'mine.wav', 'wake_3_x.wav', 'wake_4_x.wav', 'wake_5_x.wav']


def test_a_folder_that_cannot_be_is_told(tmp_path, failures):
    (tmp_path / 'file').write_text('')
    clips = WakeClips(tmp_path / 'file', lambda job, *args: job(*args), failures.append)
    clips.limit = 1
    hear(clips, [1004.0])
    assert len(failures) == 1
    assert 'file: the sound of a wake is lost' in failures[0]


def test_a_writer_that_is_busy_is_told(tmp_path, failures):
    def busy(*_):
        raise AssistantError(ErrorCode.BUSY, 'queue is full')

    clips = WakeClips(tmp_path, busy, failures.append)
    clips.limit = 1
    hear(clips, [1004.0])
    assert failures == ['queue is full']
