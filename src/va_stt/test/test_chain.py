# SPDX-License-Identifier: Apache-2.0
"""Real voices through real VAD, Whisper and Smart Turn, without a clock or a device."""

from __future__ import annotations

import numpy as np
import pytest
from stt_bench import Bench, join, RATE, T0

from va_common.audio_io import float_to_int16
from va_common.errors import AssistantError, ErrorCode
from va_stt.silero_vad import SileroVad
from va_stt.smart_turn import SmartTurn
from va_stt.speech_evidence import invented
from va_stt.turn_events import Kind, Outcome
from va_stt.vad_finalize import Endpointing
from va_stt.whisper_cuda import Transcription, WhisperEngine


def plain(text: str) -> str:
    return ''.join(c for c in text.lower() if c.isalpha() or c == ' ').strip()


@pytest.mark.parametrize('gap_s', [0.03, 0.2, 0.8])
@pytest.mark.parametrize('word_end_error_s', [-0.08, 0.08])
def test_one_breath_and_not(detector, whisper, say, gap_s, word_end_error_s):
    bench = Bench(detector, whisper.transcribe)
    wake = say('Hey Jarvis.', 'bf_emma')
    bench.play(join(1.0, wake, gap_s, say('What time is it?', 'bf_emma'), 2.5))
    word_end_s = 1.0 + len(wake) / RATE
    bench.listen(word_end_s + word_end_error_s, wake_phrase='hey jarvis')
    assert plain(bench.final.text) == 'what time is it'
    started = next(e for e in bench.events if e.kind is Kind.STARTED)
    assert started.speech_start_s - T0 == pytest.approx(word_end_s + gap_s, abs=0.25)


@pytest.mark.parametrize('error_s', [-0.2, 0.0, 0.15])
def test_wake_word_alone_starts_nothing(detector, whisper, say, error_s):
    for voice in ('af_heart', 'bf_emma'):
        bench = Bench(detector, whisper.transcribe)
        wake = say('Hey Jarvis.', voice)
        bench.play(join(1.0, wake, 4.5))
        word_end_s = 1.0 + len(wake) / RATE + error_s
        bench.listen(word_end_s, wake_phrase='hey jarvis', no_speech_timeout_s=4.0)
        assert [e.kind for e in bench.events] in (
            [Kind.FINAL], [Kind.NOTICED, Kind.WITHDRAWN, Kind.FINAL])
        assert bench.final.outcome is Outcome.NO_SPEECH


@pytest.mark.parametrize('word', ['Yes.', 'No.', 'Stop.'])
def test_short_answers_are_heard(detector, whisper, say, word):
    bench = Bench(detector, whisper.transcribe)
    bench.listen()
    bench.play(join(0.7, say(word, 'bf_emma'), 2.3))
    assert plain(bench.final.text) == plain(word)


@pytest.mark.parametrize('noise', ['quiet', 'white', 'knocks', 'hum'])
def test_noise_is_nobody(detector, whisper, noise):
    random = np.random.default_rng(5)
    seconds = 5
    time_s = np.arange(seconds * RATE) / RATE
    sound = {
        'quiet': 1e-4 * random.standard_normal(len(time_s)),
        'white': 0.05 * random.standard_normal(len(time_s)),
        'knocks': random.standard_normal(len(time_s)) * 0.5 * np.exp(-60 * (time_s % 0.7)),
        'hum': 0.2 * np.sin(2 * np.pi * 100 * time_s) + 0.1 * np.sin(2 * np.pi * 200 * time_s),
    }[noise].astype(np.float32)
    bench = Bench(detector, whisper.transcribe)
    bench.listen(no_speech_timeout_s=4.0)
    bench.play(sound)
    assert bench.final.outcome is Outcome.NO_SPEECH
    assert bench.final.text == ''


def test_a_pause_in_the_sentence_makes_a_revision(detector, whisper, say):
    bench = Bench(detector, whisper.transcribe)
    bench.listen()
    bench.play(join(0.5, say('Set a timer'), 0.9, say('for ten minutes.'), 2.3))
    assert bench.final.key.revision == 1
    assert 'timer' in bench.final.text and 'minutes' in bench.final.text


def test_smart_endpoint_is_earlier_for_a_whole_sentence(detector, whisper, smart_turn, say):
    def end_after(text: str, voice: str) -> float:
        sound = say(text, voice)
        bench = Bench(detector, whisper.transcribe, judge=smart_turn.probability)
        bench.listen(endpointing=Endpointing(2.0, smart=True))
        bench.play(join(0.5, sound, 2.5))
        return bench.final.endpoint_s - bench.final.speech_end_s

    assert end_after('What is the capital of France?', 'bf_emma') < 1.2
    assert end_after('Turn off the lights in the kitchen.', 'am_michael') < 1.2


def test_smart_turn_waits_for_the_rest(smart_turn, say):
    whole = say('I would like to know what the weather is going to be like tomorrow.')
    part = join(whole[:round(0.45 * len(whole))], 0.3)
    assert smart_turn.probability(float_to_int16(join(whole, 0.3))) > 0.5
    assert smart_turn.probability(float_to_int16(part)) < 0.5


def test_chunks_are_eighty_ms_without_gap(detector):
    bench = Bench(detector, None)
    bench.play(join(1.0))
    assert {len(c.samples) for c in bench.chunks} == {1280}
    assert np.diff([c.start_s for c in bench.chunks]) == pytest.approx(0.08)


@pytest.mark.parametrize(('text', 'logprob', 'no_speech', 'ratio', 'voiced_s', 'believed'), [
    ('What time is it?', -0.1, 0.1, 1.0, 1.0, True),
    ('Yes.', -0.4, 0.3, 0.5, 0.2, True),
    ('What time is it?', -0.2, 0.9, 1.0, 1.0, True),
    ('He jarvus how long is a marathon?', -0.44, 0.64, 0.8, 1.5, True),
    ('Thanks for watching.', -0.44, 0.64, 0.8, 0.5, False),
    ('you', -1.4, 0.9, 0.3, 0.3, False),
    ('Thank you.', -0.6, 0.8, 0.6, 0.3, False),
    ('.', -0.1, 0.1, 0.1, 1.0, False),
    ('la la la la la la', -0.3, 0.1, 3.0, 2.0, False),
    ('Thank you for watching this video today', -0.3, 0.1, 1.0, 0.2, False),
])
def test_evidence(text, logprob, no_speech, ratio, voiced_s, believed):
    heard = Transcription(text, 'en', logprob, no_speech, ratio)
    assert (invented(heard, voiced_s) is None) is believed


@pytest.mark.parametrize('engine', [SileroVad, SmartTurn])
def test_damaged_model_is_named(tmp_path, engine):
    path = tmp_path / 'broken.onnx'
    path.write_bytes(b'nonsense')
    with pytest.raises(AssistantError, match=r'broken\.onnx') as raised:
        engine(path)
    assert raised.value.code == ErrorCode.ENGINE_FAILED


def test_missing_whisper_model_is_named(tmp_path):
    with pytest.raises(AssistantError, match=str(tmp_path)) as raised:
        WhisperEngine(tmp_path, 'cpu', 'en', 1, 1)
    assert raised.value.code == ErrorCode.ENGINE_FAILED


def test_wrong_vad_model_says_what_it_expected(tmp_path):
    from va_common.model_catalogue import model_path
    with pytest.raises(AssistantError, match='state'):
        SileroVad(model_path('smart-turn-v3', 'smart-turn-v3.2-cpu.onnx'))
