# SPDX-License-Identifier: Apache-2.0
"""Bad sound through the whole capture pipeline: nothing breaks, and the diagnostics say why."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soxr
from stt_bench import Bench, BLOCK, join, RATE, T0

from va_common.audio_io import float_to_int16
from va_stt.blocks import Block
from va_stt.channels import ChannelMix
from va_stt.echo_canceller import WebrtcAec3

SECONDS = 18
DELAY = 800
CHUNK = 1280
HISS = 0.1 * np.random.default_rng(1).standard_normal(BLOCK)
BROKEN = {
    'clipped': (lambda sound: 20 * sound, r'overdriven \(clipping\): lower its gain'),
    'silent': (lambda sound: 0 * sound, 'digitally silent since .* muted'),
    'offset': (lambda sound: sound + 0.2, r'DC offset of \+0\.20'),
    'telephone': (lambda sound: soxr.resample(soxr.resample(sound, RATE, 8000), 8000, RATE),
                  'ends at 4 kHz'),
}


@pytest.fixture(scope='module')
def user(say):
    """Somebody speaks in the first third of the time."""
    return third(say('Please remind me to call the dentist on Monday.'), 0)


@pytest.fixture(scope='module')
def reply(say):
    """The assistant speaks in the rest of it."""
    return third(say('The moon is far away from the earth, and it is made of stone.'), 1) \
        + third(say('Nobody has been there for a long time, but people will go again.'), 2)


def third(words, number):
    """The words again and again in one third of the time, -26 dBFS or so while spoken."""
    sound = np.zeros(SECONDS * RATE, np.float32)
    size = sound.size // 3
    sound[number * size:(number + 1) * size] = np.resize(join(words, 0.4), size)
    return 0.25 * sound / np.abs(sound).max()


def room(user, reply=None, echo=0.0):
    """What a microphone hears; ``echo``: how much of the speaker's sound."""
    sound = user + 3e-4 * np.random.default_rng(5).standard_normal(user.size)
    if reply is not None:
        sound[DELAY:] += echo * reply[:-DELAY]
    return sound


def hear(detector, sound, reply=None) -> Bench:
    """The bench after the microphone heard a sound and was told what the speaker plays."""
    bench = Bench(detector, None, canceller=WebrtcAec3())
    samples = np.zeros(0, np.int16) if reply is None else float_to_int16(reply)
    for first in range(0, samples.size, CHUNK):
        if samples[first:first + CHUNK].any():
            bench.far_end.add(samples[first:first + CHUNK], T0 + first / RATE)
    bench.play(sound)
    assert len(bench.chunks) == pytest.approx(sound.size / CHUNK, abs=2)
    assert 'nan' not in bench.pipeline.diagnostics().values()
    return bench


def only_warning(bench: Bench) -> str:
    (warning,) = bench.pipeline.warnings()
    return warning


def test_ordinary_sound_is_no_trouble(detector, user, reply):
    assert hear(detector, room(user)).pipeline.warnings() == []
    assert hear(detector, room(user, reply, 0.4), reply).pipeline.warnings() == []


@pytest.mark.parametrize('kind', BROKEN)
def test_a_broken_microphone_is_named(detector, user, kind):
    damage, expected = BROKEN[kind]
    always = sum(np.roll(user, n * SECONDS * RATE // 3) for n in range(3))
    assert re.search(expected, only_warning(hear(detector, damage(room(always)))))


@pytest.mark.parametrize('kind', ['clipped', 'offset'])
def test_it_is_named_while_the_speaker_plays_too(detector, user, reply, kind):
    damage, expected = BROKEN[kind]
    bench = hear(detector, damage(room(user, reply, 0.4)), reply)
    assert re.search(expected, ' '.join(bench.pipeline.warnings()))


def test_a_reference_that_is_not_heard_is_told(detector, user, reply):
    assert 'muted, or headphones' in only_warning(hear(detector, room(user), reply))


def test_a_reference_of_another_sound_is_told(detector, user, reply):
    other = np.roll(reply, RATE)
    bench = hear(detector, room(user, other, 0.4), reply)
    assert 'does another device play' in only_warning(bench)


def test_playback_that_no_reference_comes_of_is_told(detector, user, reply):
    bench = hear(detector, room(user, reply, 0.4))
    told = bench.pipeline.echo
    told.playback_began(bench.far_end.chunks)
    told.playback_ended(5.0, bench.far_end.chunks)
    assert 'does not come on tts/reference' in only_warning(bench)
    told.playback_began(bench.far_end.chunks)
    bench.far_end.add(np.ones(CHUNK, np.int16), T0)
    told.playback_ended(5.0, bench.far_end.chunks)
    assert bench.pipeline.warnings() == []


def test_a_reference_that_comes_too_late_is_told(detector, user):
    bench = hear(detector, room(user))
    for number in range(30):
        bench.far_end.add(np.ones(CHUNK, np.int16), T0 + number * CHUNK / RATE)
    bench.play(join(0.1))
    assert 'told too late (30 chunks' in only_warning(bench)


def test_a_speaker_louder_than_the_user_is_told(detector, user, reply):
    warning = only_warning(hear(detector, room(0.3 * user, reply, 1.0), reply))
    assert re.search(r'the speaker is \d+ dB louder .* turn it down, or come closer', warning)


def test_a_stuttering_microphone_is_told(detector, user):
    bench, samples = Bench(detector, None, canceller=WebrtcAec3()), float_to_int16(room(user))
    for number in range(0, samples.size // BLOCK):
        if number % 50 > 4:  # 0.1 s of each second is lost
            first = number * BLOCK
            bench.pipeline.feed(Block(samples[first:first + BLOCK], T0 + first / RATE))
    assert bench.pipeline.gaps.gaps == SECONDS - 1
    assert 'stutters: 17 gaps in the last minute' in only_warning(bench)
    assert len(bench.chunks) == pytest.approx(samples.size / CHUNK, abs=3)


def test_a_clock_that_is_set_back_does_not_stop_it(detector, user, reply):
    bench = hear(detector, room(user, reply, 0.4), reply)
    bench.now_s -= 3600.0
    before = len(bench.frames)
    bench.play(join(2.0))
    assert len(bench.frames) - before == pytest.approx(2.0 * RATE / 512, abs=5)
    assert not bench.frames[-1].echo


@pytest.mark.parametrize('count', [1, 2, 8])
def test_many_channels_are_one(count):
    mix, sound = ChannelMix(), float_to_int16(HISS)
    for _ in range(200):
        mono = mix.mix(np.stack([sound] * count, axis=1))
    assert np.array_equal(mono, sound)
    assert mix.warnings() == []


def test_channels_without_anything_in_common_are_no_trouble():
    mix, random = ChannelMix(), np.random.default_rng(1)
    for _ in range(200):
        mix.mix(float_to_int16(0.1 * random.standard_normal((BLOCK, 8))))
    assert mix.warnings() == []


def test_channels_that_cancel_each_other_out_are_told():
    mix, sound = ChannelMix(), float_to_int16(HISS)
    for _ in range(200):
        mix.mix(np.stack([sound, -sound], axis=1))
    (warning,) = mix.warnings()
    assert 'cancel each other out' in warning
