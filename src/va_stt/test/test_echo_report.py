# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics say about the speaker and the microphone."""

from __future__ import annotations

import numpy as np
import pytest
from stt_bench import BLOCK

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
        told.lost(100.0 + gaps, gaps, 0)
    assert 'stutters: 5 gaps' in told.warnings()[0]
    told.lost(200.0, 5, 0)
    assert told.warnings() == []
