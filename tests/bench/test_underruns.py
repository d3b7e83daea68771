# SPDX-License-Identifier: Apache-2.0
"""The speaker runs out of sound in an answer: tts' and stt's own objects, in a simulated room."""

from __future__ import annotations

from hearing.chain import Engines, RATE
from hearing.echo import replies
from hearing.room import Echo
from hearing.sounds import Sounds
from hearing.underruns import hear, play
import numpy as np
import pytest


@pytest.fixture(scope='module')
def far() -> np.ndarray:
    return replies(Sounds(), 2)


def test_the_device_plays_all_of_it_with_gaps(far):
    played = play(far, 0.003, np.random.default_rng(0))
    assert len(played.gaps_s) == 2
    assert 0.02 < (played.air.size - far.size) / RATE < 0.32
    assert float(np.sum(played.air ** 2)) == pytest.approx(float(np.sum(far ** 2)), rel=1e-3)
    assert [anew for *_, anew in played.told].count(True) == 2


def test_an_underrun_of_the_speaker_is_nobody(far):
    dry = Sounds().rooms()['dry']
    heard = hear(Engines(), far, Echo(dry), seed=0)
    assert heard.held == heard.stopped == 0  # 3 times, if nobody told of the underruns
    assert np.nanmedian(np.concatenate(heard.erle_db)) > 25
