# SPDX-License-Identifier: Apache-2.0
"""The short window: what of its tokens counts, and that the real model hears the same words."""

import numpy as np
import pytest

from va_common.audio_io import float_to_int16
from va_common.testing import own_memory_mb
from va_stt.whisper_cuda import NOTHING
from va_stt.whisper_window import repeats, spoken_places, stops_early

END, T0 = 1000, 2000


def test_text_between_timestamps_counts():
    assert spoken_places([T0, 5, 6, T0 + 100, END], END, T0, 2.0) == [1, 2]


def test_a_segment_after_the_sound_does_not():
    ids = [T0, 5, 6, T0 + 100, T0 + 110, 5, 6, T0 + 200]
    assert spoken_places(ids, END, T0, 2.0) == [1, 2]


def test_two_segments_within_the_sound_do():
    ids = [T0, 5, T0 + 50, T0 + 60, 6, T0 + 90]
    assert spoken_places(ids, END, T0, 2.0) == [1, 4]


@pytest.mark.parametrize(('ids', 'early'), [
    ([T0, 5, T0 + 100], True), ([T0, 5, T0 + 200, END], False), ([T0, 5, T0 + 160], False),
    ([T0, 5, T0 + 100, T0 + 120, 6, T0 + 250], False), ([T0, 5], False), ([5, END], False)])
def test_text_that_stops_before_the_sound_does(ids, early):
    assert stops_early(ids, T0, 4.0) is early


@pytest.mark.parametrize(('text', 'expected'), [
    ('Set a timer. Set a timer. Set', True), ('Turn on the light. Turn on the light.', True),
    ('No, no, no, no.', False), ('Set a timer.', False), ('', False),
    ('One two three one two four.', False)])
def test_repetition(text, expected):
    assert repeats(text) is expected


def test_both_windows_hear_the_same(whisper, say):
    sound = float_to_int16(np.pad(say('What is the capital of France?'), 4000))
    short, whole = whisper._transcribe_short(sound), whisper._transcribe_whole(sound)
    assert short.text == whole.text == 'What is the capital of France?'
    assert short.avg_logprob == pytest.approx(whole.avg_logprob, abs=0.25)


def test_only_where_the_short_window_doubts_is_the_whole_one_asked(whisper, say, monkeypatch):
    asked = []
    monkeypatch.setattr(whisper, '_transcribe_whole', lambda samples: asked.append(1) or NOTHING)
    sound = float_to_int16(np.pad(say('What is the capital of France?'), 4000))
    assert whisper.transcribe(sound).text == 'What is the capital of France?'
    assert not asked
    monkeypatch.setattr('va_stt.whisper_cuda.DOUBTFUL_LOGPROB', 0.0)
    assert whisper.transcribe(sound) is NOTHING


def test_a_hopeless_sound_is_not_looked_at_twice_when_it_is_quick(whisper, monkeypatch):
    asked = []
    monkeypatch.setattr(whisper, '_transcribe_whole', lambda samples: asked.append(1) or NOTHING)
    monkeypatch.setattr('va_stt.whisper_cuda.HOPELESS_LOGPROB', 0.0)
    noise = (300 * np.random.default_rng(1).standard_normal(16000)).astype(np.int16)
    whisper.transcribe(noise, quick=True)
    assert not asked
    whisper.transcribe(noise)
    assert asked


def test_silence_has_no_text_that_is_believed(whisper):
    from va_stt.speech_evidence import invented
    heard = whisper.transcribe(np.zeros(16000, np.int16))
    assert invented(heard, 0.0) is not None


def test_words_after_a_long_pause_are_not_lost(whisper, say, monkeypatch):
    from va_stt import whisper_window
    sound = float_to_int16(np.pad(say('What is the capital of France?'), (4000, 2000)))
    monkeypatch.setattr(whisper_window, 'UNHEARD_S', -2.0)  # as if it had stopped early
    asked = []
    monkeypatch.setattr(whisper, '_transcribe_whole', lambda samples: asked.append(1) or NOTHING)
    assert whisper.transcribe(sound) is NOTHING
    assert asked


def test_utterances_of_many_lengths_take_no_memory_for_good(whisper):
    encode = whisper._window._encoded
    encode(np.zeros(16000, np.float32))
    before_mb = own_memory_mb()
    for count in range(20):
        encode(np.zeros(640 * count, np.float32))
    assert own_memory_mb() - before_mb < 8.0
