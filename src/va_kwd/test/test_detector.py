# SPDX-License-Identifier: Apache-2.0
"""Threshold, cooldown, gaps, frames, word list, events, queue: plain logic."""

from pathlib import Path
import random
import sys
import threading

import numpy as np
import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import model_path
from va_kwd.detector import Detection, Detector
from va_kwd.events_api import WakeEvents
from va_kwd.scoring_queue import ScoringQueue
from va_kwd.wake_words import known_words, parse_wake_words, WakeWord
from va_kwd.word_end import word_end_before

sys.path.insert(0, str(Path(__file__).parent))
from kwd_speech import chunks, FakeScorer

JARVIS, ALEXA = WakeWord('hey_jarvis', Path('j')), WakeWord('alexa', Path('a'), 0.9)
SILENCE = np.zeros(1280, np.int16)


def detect(scores, words=(JARVIS,), threshold=0.6, cooldown_s=1.0):
    """Feed one frame per score; the numbers of the frames that woke, and the detections."""
    scorer = FakeScorer(*(word.name for word in words))
    scorer.script = list(scores)
    detector = Detector(scorer, words, threshold, cooldown_s)
    found = [(number, detection)
             for number, chunk in enumerate(chunks(np.zeros(1280 * len(scores), np.int16)))
             for detection in detector.process(*chunk)]
    return [number for number, _ in found], [detection for _, detection in found]


@pytest.mark.parametrize(('scores', 'woken'), [
    ([0, 0.59, 0.59, 0], []),
    ([0, 0.6, 0], [1]),
    ([0.7, 0.9, 0.9, 0.8, 0], [0]),  # one wake however long the score stays up
    ([0.9, 0, 0.9] + [0] * 20, [0]),  # within the cooldown
    ([0.9] + [0] * 12 + [0.9], [0, 13]),
    ([0.9] + [0] * 8 + [0.9] * 6, [0, 13]),  # rose within it and still up at its end
    ([0.9] * 30, [0]),
    ([0.9] * 9 + [0.4, 0.2, 0.5, 0.2, 0.2, 0.7, 0, 0], [0]),  # flickers as it fades
    ([0.9] * 9 + [0.2] * 6 + [0.7], [0, 15]),
])
def test_threshold_and_cooldown(scores, woken):
    assert detect(scores)[0] == woken


def detect_checked(wholes, **options):
    """As above, with scores of 0.9 and the second check's opinion per frame."""
    scorer = FakeScorer('hey_jarvis')
    detector = Detector(scorer, (JARVIS,), 0.6, 1.0, **options)
    found = []
    for whole, chunk in zip(wholes, chunks(np.zeros(1280 * len(wholes), np.int16))):
        scorer.script, scorer.whole = [0.9 if whole is not None else 0.0], whole or 0.0
        found += detector.process(*chunk)
    return found


def test_half_a_phrase_is_no_wake_unless_the_check_is_off():
    assert detect_checked([None, 0.1, 0.4, 0.2, None]) == []
    assert len(detect_checked([None, 0.1, 0.4, 0.2, None], second_check=False)) == 1


def test_a_check_that_passes_late_leaves_the_end_of_the_word_where_the_score_rose():
    at_once, = detect_checked([None, 0.9, 0.9, None])
    late, = detect_checked([None, 0.1, 0.9, None])
    assert late.word_end_s == at_once.word_end_s
    assert late.decided_s == pytest.approx(at_once.decided_s + 0.08)


def test_without_cooldown_each_rise_counts():
    assert detect([0.9, 0.9, 0, 0, 0, 0.9], cooldown_s=0.0)[0] == [0, 5]


def test_several_words_with_thresholds_of_their_own():
    scores = [{'hey_jarvis': 0.0, 'alexa': 0.85}, {'hey_jarvis': 0.7, 'alexa': 0.95}]
    woken, (detection,) = detect(scores, (JARVIS, ALEXA))
    assert woken == [1]
    assert (detection.word, detection.score) == (ALEXA, 0.95)


def test_settings_change_between_frames():
    scorer = FakeScorer()
    scorer.script = [0.5, 0.5]
    detector = Detector(scorer, (JARVIS,), 0.6, 1.0)
    assert not detector.process(SILENCE, 0, 0.0)
    detector.threshold = 0.4
    assert detector.process(SILENCE, 1, 0.08)


@pytest.mark.parametrize(('sequence', 'start_s', 'is_gap'), [
    (1, 10.08, False), (1, 10.10, False), (2, 10.08, True), (1, 10.2, True), (0, 10.08, True),
    (1, 9.0, True),
])
def test_a_gap_starts_the_engine_afresh(sequence, start_s, is_gap):
    scorer = FakeScorer()
    detector = Detector(scorer, (JARVIS,), 0.6, 1.0)
    detector.process(SILENCE, 0, 10.0)
    detector.process(SILENCE, sequence, start_s)
    assert (scorer.resets, detector.gaps) == (is_gap, is_gap)


def test_chunks_of_any_length_become_frames():
    scorer = FakeScorer()
    detector = Detector(scorer, (JARVIS,), 0.6, 1.0)
    scorer.script = [0, 0, 0.9]
    found, at = [], 0
    for sequence, size in enumerate([100, 3000, 0, 800]):
        found += detector.process(np.zeros(size, np.int16), sequence, 50 + at / 16000)
        at += size
    assert scorer.frames == 3
    # Decided by the third frame, 60 samples before the end of the last chunk.
    assert found[0].decided_s == pytest.approx(50 + 3 * 0.08)


def test_a_reset_is_no_gap():
    detector = Detector(FakeScorer(), (JARVIS,), 0.6, 1.0)
    detector.process(SILENCE, 0, 10.0)
    detector.reset()
    detector.process(SILENCE, 90, 99.0)
    assert detector.gaps == 0


# Where the word ended ---------------------------------------------------------------------------

def tone(seconds, amplitude):
    t = np.arange(round(seconds * 16000)) / 16000
    return amplitude * np.sin(2 * np.pi * 440 * t)


def noisy(*parts, noise=20):
    sound = np.concatenate(parts)
    return (sound + np.random.default_rng(3).normal(0, noise, sound.size)).astype(np.int16)


@pytest.mark.parametrize('pause_s', [0.02, 0.05, 0.1, 0.2])
def test_the_word_ended_where_the_pause_began(pause_s):
    sound = noisy(tone(0.6, 0), tone(0.8, 8000), tone(pause_s, 0))
    assert word_end_before(sound) == pytest.approx(pause_s, abs=0.011)


def test_a_pause_with_words_behind_it():
    sound = noisy(tone(0.5, 0), tone(0.8, 8000), tone(0.08, 0), tone(0.1, 8000))
    assert word_end_before(sound) == pytest.approx(0.18, abs=0.011)


def test_who_speaks_on_without_a_pause():
    assert word_end_before(noisy(tone(0.6, 0), tone(1.0, 8000))) == pytest.approx(-0.03)


def test_in_noise_the_score_alone_counts():
    assert word_end_before(noisy(tone(0.6, 0), tone(0.8, 8000), tone(0.1, 0), noise=1500)) == 0.0


def test_nothing_at_all():
    assert word_end_before(np.zeros(0, np.int16)) == 0.0


# The setting wake_words -------------------------------------------------------------------------

@pytest.fixture(scope='module')
def folder():
    return model_path('openwakeword')


def test_words_by_name_path_and_threshold(folder):
    path = folder / 'hey_mycroft_v0.1.onnx'
    words = parse_wake_words(['hey_jarvis', ' alexa:0.5', f'{path}:0.7', ''], folder)
    assert [(w.name, w.phrase, w.threshold) for w in words] == [
        ('hey_jarvis', 'hey jarvis', None), ('alexa', 'alexa', 0.5),
        ('hey_mycroft', 'hey mycroft', 0.7)]
    assert words[0].path == folder / 'hey_jarvis_v0.1.onnx'
    assert {'alexa', 'hey_jarvis', 'hey_mycroft', 'hey_rhasspy'} == set(known_words(folder))


@pytest.mark.parametrize(('entries', 'named'), [
    ([], 'wake_words: empty'), (['', ' '], 'wake_words: empty'),
    (['computer'], "wake word 'computer': unknown; expected one of alexa, hey_jarvis"),
    (['hey_*'], r"wake word 'hey_\*': unknown"), (['../x'], 'unknown'),
    (['hey_jarvis:2'], "threshold '2'; expected a number above 0 up to 1"),
    (['hey_jarvis:'], "threshold ''"), (['hey_jarvis:x'], "threshold 'x'"),
    (['hey_jarvis:nan'], "threshold 'nan'"),
    (['alexa', 'alexa:0.4'], 'alexa is there twice'),
])
def test_bad_words_are_named(folder, entries, named):
    with pytest.raises(AssistantError, match=named) as caught:
        parse_wake_words(entries, folder)
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT


# Events -----------------------------------------------------------------------------------------

def test_the_acknowledgement_is_drawn_at_random():
    phrases = ('Yes?', 'Yo', 'Sup?')
    detection = Detection(JARVIS, 0.9, 10.0, 10.05)
    events = WakeEvents(phrases, random.Random(7))
    drawn = [events.event(detection).acknowledgement for _ in range(60)]
    assert set(drawn) == set(phrases)
    expected = random.Random(7)
    assert drawn == [expected.choice(phrases) for _ in range(60)]
    events.yes_phrases = ()
    event = events.event(detection)
    assert (event.acknowledgement, event.phrase, event.word_end_s) == ('', 'hey jarvis', 10.0)


# The queue --------------------------------------------------------------------------------------

@pytest.fixture
def gate():
    return threading.Event()


def test_overload_drops_the_oldest_and_counts(gate):
    scored, started = [], threading.Event()

    def score(chunk):
        started.set()
        assert gate.wait(10)
        scored.append(chunk[1])

    queue = ScoringQueue(score, pytest.fail, 3)
    queue.put((SILENCE, 0, 0.0))
    assert started.wait(10)
    for number in range(1, 10):
        queue.put((SILENCE, number, 0.0))
    gate.set()
    assert queue.wait_idle(10)
    queue.stop()
    assert scored == [0, 7, 8, 9]
    assert queue.dropped == 6


def test_a_failure_does_not_end_the_thread():
    failures, scored = [], []

    def score(chunk):
        if chunk[1] == 0:
            raise ValueError('bad frame')
        scored.append(chunk[1])

    queue = ScoringQueue(score, failures.append, 3)
    queue.put((SILENCE, 0, 0.0))
    queue.put((SILENCE, 1, 0.0))
    assert queue.wait_idle(10)
    queue.stop()
    queue.stop()
    assert (len(failures), scored) == (1, [1])


def test_a_scorer_that_hangs_is_reported(gate):
    started = threading.Event()

    def score(chunk):
        started.set()
        gate.wait(10)

    queue = ScoringQueue(score, pytest.fail, 3)
    queue.put((SILENCE, 0, 0.0))
    assert started.wait(10)
    with pytest.raises(AssistantError, match=r'still runs after 0\.01 s'):
        queue.stop(0.01)
    gate.set()
    queue.stop()
