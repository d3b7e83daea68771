# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say about the speaker and the microphone; broken sound does no harm."""

from __future__ import annotations

import numpy as np
import pytest
from stt_bench import Bench, BLOCK, join, RATE, T0

from va_common.audio_io import float_to_int16, to_mono
from va_stt.blocks import Block
from va_stt.echo_canceller import WebrtcAec3
from va_stt.echo_report import EchoReport

RANDOM = np.random.default_rng(1)


def noise(level: float) -> np.ndarray:
    return (level * RANDOM.standard_normal(BLOCK)).astype(np.int16)


def report(echo: float, left: float) -> EchoReport:
    told = EchoReport()
    for _ in range(50):
        told.silent(noise(20))
    for _ in range(300):
        told.played(noise(echo), noise(left))
    return told


@pytest.mark.parametrize(('echo', 'left', 'word'), [
    (20, 20, 'headphones'), (8000, 10, 'very loud'), (1000, 900, 'not taken out')])
def test_trouble_with_the_echo_is_told(echo, left, word):
    (warning,) = report(echo, left).warnings()
    assert word in warning


def test_echo_that_is_taken_out_is_no_trouble():
    told = report(1000, 10)
    assert told.warnings() == []
    assert told.erle_db == pytest.approx(40, abs=1)


def test_stutter_is_told_and_forgotten():
    told = EchoReport()
    for gaps in range(1, 6):
        told.stuttered(100.0 + gaps, gaps)
    assert 'stutters: 5 gaps' in told.warnings()[0]
    told.stuttered(200.0, 5)
    assert told.warnings() == []


def broken(kind: str) -> np.ndarray:
    sound = 0.1 * RANDOM.standard_normal(6 * RATE)
    return {
        'clipped': 30 * sound, 'silent': 0 * sound, 'offset': sound + 0.4,
        'telephone': np.repeat(sound[::2], 2),
        'many channels': to_mono(np.stack([sound] * 8, axis=1)),
    }[kind]


@pytest.mark.parametrize('kind', ['clipped', 'silent', 'offset', 'telephone', 'many channels'])
@pytest.mark.parametrize('reference', [False, True])
def test_broken_sound_passes_with_and_without_a_reference(detector, kind, reference):
    bench = Bench(detector, None, canceller=WebrtcAec3())
    if reference:
        bench.far_end.add(float_to_int16(0.1 * RANDOM.standard_normal(6 * RATE)), T0)
    bench.play(broken(kind))
    assert len(bench.chunks) == pytest.approx(75, abs=2)
    assert bench.pipeline.diagnostics()['level_dbfs'] != 'nan'


def test_stuttering_sound_passes(detector):
    bench = Bench(detector, None)
    samples = float_to_int16(join(4.0))
    for number in range(0, 200, 2):  # every other block is lost
        first = number * BLOCK
        bench.pipeline.feed(Block(samples[first:first + BLOCK], T0 + first / RATE * 3))
    assert bench.pipeline.gaps.gaps > 50
    assert 'stutters' in bench.pipeline.diagnostics()['warnings']
