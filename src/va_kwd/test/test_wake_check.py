# SPDX-License-Identifier: Apache-2.0
"""The second look: the whole phrase passes, its second half does not; damage is named."""

from pathlib import Path
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


def test_a_word_without_a_check_passes(engine):
    assert load_check('alexa') is None
    assert engine.whole_phrase('alexa') == 1.0


def test_a_damaged_check_is_named(tmp_path):
    path = tmp_path / 'hey_jarvis_check.npz'
    path.write_bytes(b'nonsense')
    with pytest.raises(AssistantError, match=r'hey_jarvis_check\.npz') as caught:
        load_check('hey_jarvis', tmp_path)
    assert caught.value.code == ErrorCode.ENGINE_FAILED
    np.savez(path, weights=np.zeros(3, np.float32))
    with pytest.raises(AssistantError, match='bias'):
        WakeCheck(path)
