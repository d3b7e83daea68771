# SPDX-License-Identifier: Apache-2.0
"""Models that rest hear the same words as models that never do."""

from pathlib import Path
import sys

import numpy as np
import pytest

from va_common.errors import AssistantError
from va_common.model_catalogue import model_path
from va_common.testing import own_memory_mb
from va_kwd.resting_scorer import RestingScorer
from va_kwd.wake_engine import WakeEngine
from va_kwd.wake_words import parse_wake_words

sys.path.insert(0, str(Path(__file__).parent))
from kwd_speech import chunks, in_a_room, speak

FOLDER = model_path('openwakeword')


@pytest.fixture(scope='module')
def engine():
    return WakeEngine(parse_wake_words(['hey_jarvis', 'alexa'], FOLDER),
                      FOLDER / 'melspectrogram.onnx', FOLDER / 'embedding_model.onnx')


def frames_of(sound):
    return [samples for samples, _, _ in chunks(sound)]


def scores_of(scorer, frames):
    """Scores of hey_jarvis, frame by frame."""
    scorer.reset()
    return np.array([scorer.score(frame)['hey_jarvis'] for frame in frames])


@pytest.mark.parametrize('skipped', [1, 7, 26, 27, 80])
def test_what_was_skipped_is_caught_up(engine, skipped):
    frames = frames_of(in_a_room(speak('Hey Jarvis!'), before_s=7.0))
    expected = scores_of(engine, frames)
    assert expected.max() > 0.9
    engine.reset()
    for frame in frames[:5]:
        engine.score(frame)
    for frame in frames[5:5 + skipped]:
        engine.skip(frame)
    caught_up = [engine.score(frame)['hey_jarvis'] for frame in frames[5 + skipped:]]
    np.testing.assert_allclose(caught_up, expected[5 + skipped:], atol=2e-3)


@pytest.mark.parametrize(('gain', 'noise'), [(1.0, 20), (0.02, 20), (0.01, 5), (0.05, 100)])
def test_near_and_far_a_word_scores_as_if_the_models_never_rested(engine, gain, noise):
    phrase = (speak('Hey Jarvis!') * gain).astype(np.int16)
    frames = frames_of(in_a_room(phrase, before_s=8.0, noise=noise))
    expected, found = scores_of(engine, frames), scores_of(RestingScorer(engine), frames)
    heard = expected > 0.1
    np.testing.assert_allclose(found[heard], expected[heard], atol=2e-3)
    assert not found[40:90].any(), 'they did not rest'


def test_the_models_are_not_asked_in_a_quiet_room(engine, monkeypatch):
    asked = []
    score = engine.score
    monkeypatch.setattr(engine, 'score', lambda frame: asked.append(frame) or score(frame))
    scorer = RestingScorer(engine)
    scorer.reset()
    for frame in frames_of(in_a_room(np.zeros(0, np.int16), before_s=20.0)):
        assert set(scorer.score(frame)) == {'hey_jarvis', 'alexa'}
    assert len(asked) < 30


def test_a_skipped_frame_is_checked_too(engine):
    with pytest.raises(AssistantError, match='expected int16'):
        engine.skip(np.zeros(1281, np.int16))


def test_catching_up_takes_no_memory_for_good(engine):
    engine.reset()
    noise = np.random.default_rng(1).integers(-1000, 1000, (30, 1280)).astype(np.int16)
    before_mb = own_memory_mb()
    for count in (26, 3, 9, 26, 14, 26, 3, 9):
        for frame in noise[:count]:
            engine.skip(frame)
        engine.score(noise[0])
    assert own_memory_mb() - before_mb < 4.0
