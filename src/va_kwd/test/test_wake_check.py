# SPDX-License-Identifier: Apache-2.0
"""The second look: the whole phrase passes, its second half does not; damage is named."""

from pathlib import Path
import re
import sys

import numpy as np
import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import model_path
from va_kwd.detector import Detector
from va_kwd.wake_check import load_check, WakeCheck
from va_kwd.wake_engine import WakeEngine
from va_kwd.wake_words import parse_wake_words

sys.path.insert(0, str(Path(__file__).parent))
from kwd_speech import chunks, in_a_room, speak

FOLDER = model_path('openwakeword')


@pytest.fixture(scope='module')
def words():
    return parse_wake_words(['hey_jarvis', 'alexa'], FOLDER)


@pytest.fixture(scope='module')
def engine(words):
    return WakeEngine(words, FOLDER / 'melspectrogram.onnx', FOLDER / 'embedding_model.onnx')


def wakes(engine, words, text, voice, second_check):
    engine.reset()
    detector = Detector(engine, words, 0.6, 1.0, second_check)
    return [d.word.name for chunk in chunks(in_a_room(speak(text, voice)))
            for d in detector.process(*chunk)]


# Voices whose bare "jarvis" the model alone takes for its phrase.
@pytest.mark.parametrize('voice', ['af_sarah', 'am_eric'])
def test_half_a_phrase_wakes_the_model_but_not_the_assistant(engine, words, voice):
    assert wakes(engine, words, 'Jarvis.', voice, second_check=False) == ['hey_jarvis']
    assert wakes(engine, words, 'Jarvis.', voice, second_check=True) == []


@pytest.mark.parametrize('voice', ['af_heart', 'bm_george'])
def test_the_whole_phrase_wakes(engine, words, voice):
    assert wakes(engine, words, 'Hey Jarvis.', voice, second_check=True) == ['hey_jarvis']


def test_a_word_without_a_check_passes(engine, tmp_path):
    assert load_check('computer', 16 * 96, tmp_path) is None
    assert engine.whole_phrase('alexa') == 1.0


def test_a_model_that_is_given_other_features_goes_unchecked():
    assert load_check('hey_jarvis', 16 * 96) is not None
    assert load_check('hey_jarvis', 20 * 96) is None


def test_the_network_is_computed_as_written(tmp_path):
    path = tmp_path / 'x_check.npz'
    np.savez(path, hidden=np.eye(4, 2), hidden_bias=[0.0, 1.0], out=[2.0, -1.0], bias=0.5)
    features = np.array([[0.3, -0.2], [9.0, 9.0]], np.float32)
    margin = 2 * np.tanh(0.3) - np.tanh(0.8) + 0.5
    assert WakeCheck(path).probability(features) == pytest.approx(1 / (1 + np.exp(-margin)))


@pytest.mark.parametrize(('arrays', 'named'), [
    ({'hidden': np.eye(3)}, 'hidden_bias'),
    ({'hidden': np.zeros(3), 'hidden_bias': np.zeros(3), 'out': np.zeros(3), 'bias': 0.0},
     'unpack'),
    ({'hidden': np.eye(3), 'hidden_bias': np.zeros(2), 'out': np.zeros(3), 'bias': 0.0}, '(3,)'),
])
def test_a_damaged_check_is_named(tmp_path, arrays, named):
    path = tmp_path / 'hey_jarvis_check.npz'
    np.savez(path, **arrays)
    with pytest.raises(AssistantError, match=re.escape(named)) as caught:
        load_check('hey_jarvis', 3, tmp_path)
    assert 'hey_jarvis_check.npz' in caught.value.message
    assert caught.value.code == ErrorCode.ENGINE_FAILED


def test_a_check_that_is_no_archive_is_named(tmp_path):
    (tmp_path / 'hey_jarvis_check.npz').write_bytes(b'nonsense')
    with pytest.raises(AssistantError, match=r'hey_jarvis_check\.npz'):
        load_check('hey_jarvis', 3, tmp_path)
