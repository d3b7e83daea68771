# SPDX-License-Identifier: Apache-2.0
"""AEC3 in a simulated room: delay, reverberation, drift, jitter of stamps, late chunks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve
import soxr
from stt_bench import Bench, BLOCK, join, RATE, T0

from va_common.audio_io import float_to_int16, level_dbfs
from va_common.errors import AssistantError
from va_stt.blocks import Block
from va_stt.capture_clock import CaptureClock
from va_stt.echo_canceller import make_echo_canceller, NoEchoCanceller, WebrtcAec3

CHUNK = 1280
PLAY_JITTER_S = 0.0003
"""What tts leaves of the jitter of its device."""
REPLY = ('The moon is about three hundred eighty four thousand kilometres away from the earth, '
         'which takes light a little more than one second.')


def room(delay_s: float, gain: float = 0.5, rt60_s: float = 0.3) -> np.ndarray:
    """An impulse response: direct sound after ``delay_s``, then a decaying tail."""
    tail = np.random.default_rng(0).standard_normal(round(rt60_s * RATE))
    tail *= 0.03 * 10 ** (-3 * np.arange(len(tail)) / RATE / rt60_s)
    tail[0] = 1.0
    return gain * np.concatenate([np.zeros(round(delay_s * RATE)), tail])


class Room:
    """Plays ``far`` through a room into the bench's microphone, with ``near`` over it."""

    def __init__(self, bench: Bench, far: np.ndarray, near: np.ndarray | float = 0.0, *,
                 delay_s: float = 0.06, drift: float = 200e-6, jitter_s: float = 0.003) -> None:
        random = np.random.default_rng(1)
        sound = fftconvolve(far, room(delay_s))[:len(far)] + near
        sound = sound + random.standard_normal(len(sound)) * 5e-4
        self.mic = float_to_int16(soxr.resample(sound, RATE, RATE * (1 + drift)))
        reference, clock, sent = float_to_int16(far), CaptureClock(RATE), 0
        for number in range(-3000, 0):  # the microphone has been open for a minute
            clock.stamp(T0 + number * BLOCK / RATE / (1 + drift) + random.normal(0, jitter_s),
                        BLOCK)
        for first in range(0, len(self.mic) - BLOCK, BLOCK):
            now_s = first / (RATE * (1 + drift))
            # tts sends about 0.1 s ahead; now and then a chunk comes late
            while sent < len(reference) and sent / RATE - random.uniform(0.02, 0.15) < now_s:
                bench.far_end.add(reference[sent:sent + CHUNK],
                                  T0 + sent / RATE + random.normal(0, PLAY_JITTER_S))
                sent += CHUNK
            start_s = clock.stamp(T0 + now_s + random.normal(0, jitter_s), BLOCK)
            bench.pipeline.feed(Block(self.mic[first:first + BLOCK], start_s))
        self.clean = np.concatenate([c.samples for c in bench.chunks])

    def erle_db(self, from_s: float, to_s: float) -> float:
        span = slice(round(from_s * RATE), round(to_s * RATE))
        return level_dbfs(self.mic[span]) - level_dbfs(self.clean[span])


@pytest.fixture(scope='module')
def reply(say):
    sound = say(REPLY)
    return join(0.5, sound, 0.2, sound, 1.0)


@pytest.mark.parametrize('delay_s', [0.06, 0.15, 0.3])
def test_echo_is_taken_out(detector, reply, delay_s):
    bench = Bench(detector, None, canceller=WebrtcAec3())
    erle_db = Room(bench, reply, delay_s=delay_s).erle_db(8, 14)
    print(f'ERLE at {delay_s * 1000:.0f} ms, 200 ppm, 3 ms jitter: {erle_db:.1f} dB')
    assert erle_db > 22


def test_nobody_is_heard_in_the_own_voice(detector, reply, whisper):
    bench = Bench(detector, whisper.transcribe, canceller=WebrtcAec3())
    bench.listen(0.0, no_speech_timeout_s=100.0)
    Room(bench, reply)
    assert bench.events == []


@pytest.mark.parametrize('late_s', [0.0, 0.03, 0.06])
def test_nobody_is_near_in_an_answer_that_plays_later_than_reported(detector, say, late_s):
    """The linear canceller hears a person in it, AEC3 takes it all: both must agree."""
    answer = say('I have set a timer for ten minutes.')
    far = join(0.5, answer, 1.0, answer, 0.5)
    echo = fftconvolve(far, room(0.06))[:len(far)]
    echo = float_to_int16(echo + np.random.default_rng(1).standard_normal(len(far)) * 5e-4)
    second = round(1.3 * RATE) + len(answer)
    echo[second:] = np.roll(echo[second:], round(late_s * RATE))
    bench = Bench(detector, None, canceller=WebrtcAec3())
    reference = np.append(float_to_int16(far), np.zeros(CHUNK, np.int16))
    bench.far_end.add(reference, T0)
    for first in range(0, len(echo) - BLOCK + 1, BLOCK):
        bench.pipeline.feed(Block(echo[first:first + BLOCK], T0 + first / RATE))
    assert [f.start_s - T0 for f in bench.frames if f.echo and f.near] == []


@pytest.mark.parametrize(('question', 'voice', 'at_s'), [
    ('What time is it?', 'bf_emma', 10), ('Tell me a joke about robots.', 'af_heart', 11),
    ('What is the capital of France?', 'am_michael', 12)])
def test_speech_over_the_echo_is_transcribed(detector, reply, whisper, say, question, voice, at_s):
    near = np.zeros(len(reply), np.float32)
    sound = say(question, voice)
    near[at_s * RATE:at_s * RATE + len(sound)] = sound
    bench = Bench(detector, whisper.transcribe, canceller=WebrtcAec3())
    bench.listen(at_s - 0.5, no_speech_timeout_s=100.0)
    Room(bench, reply, near)
    assert bench.events[-1].text == question


def test_near_speech_alone_passes_unharmed(detector, whisper, say):
    sound = join(1.0, say('What time is it?'), 1.0)
    bench = Bench(detector, whisper.transcribe, canceller=WebrtcAec3())
    bench.play(sound)
    clean = np.concatenate([c.samples for c in bench.chunks])
    assert level_dbfs(clean) == pytest.approx(level_dbfs(float_to_int16(sound)), abs=1.5)
    assert whisper.transcribe(clean).text == 'What time is it?'


def test_off_means_untouched():
    near = np.arange(320, dtype=np.int16)
    canceller = make_echo_canceller(False, 'webrtc_aec3', False)
    assert isinstance(canceller, NoEchoCanceller)
    assert np.array_equal(canceller.process(near, near), near)


def test_unknown_backend_is_refused():
    with pytest.raises(AssistantError, match='speex'):
        make_echo_canceller(True, 'speex', False)


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match='160'):
        WebrtcAec3().process(np.zeros(100, np.int16), np.zeros(100, np.int16))
