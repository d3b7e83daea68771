# SPDX-License-Identifier: Apache-2.0
"""The measuring itself: what is counted, cut, mixed and written. No model is loaded."""

from __future__ import annotations

import json

from hearing import texts
from hearing.barge_in import Alarms, RESUME_S, Speaker
from hearing.check_examples import training_voices
from hearing.check_texts import trained_on
from hearing.echo import window_erle_db
from hearing.picture import draw, ROWS
from hearing.sounds import background, music, RATE
from hearing.talkover import silent_after_s
from hearing.turns import boundary, with_pause
from hearing.wake import _group, _hourly
from hearing.words import aligned, Rate
import numpy as np
import pytest
from run import main
from scorecard import update


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.3)).astype(np.float32)


def test_the_texts_are_as_many_as_the_issue_wants():
    assert len(set(texts.PAUSED)) == 100
    assert all(text.count('|') == 1 for text in texts.PAUSED)
    assert len(set(texts.COMMANDS)) == 50
    assert len(set(texts.VOICES)) == 6
    assert texts.ASSISTANT not in texts.WAKE_VOICES


def test_the_wake_check_was_not_trained_on_what_it_is_measured_by():
    assert trained_on('hey_jarvis') & {*texts.NEAR_MISSES} == {'Jarvis.'}
    assert not {*training_voices()} & {*texts.WAKE_VOICES, *texts.VOICES, texts.ASSISTANT}


def test_false_wakes_are_counted_by_group():
    assert _group('near miss: Jarvis.') == 'near misses trained on'
    assert _group('near miss: Hey Marcus!') == 'near misses'
    assert _group('recording: jarvis_1') == 'people saying jarvis'
    assert _group('recording: computer_1') == 'people'
    assert _hourly([('talk', 1800.0, 1), ('fan', 1800.0, 0)]) == {
        'sounds': 2, 'hours': 1.0, 'wakes': 1, 'per_hour': 1.0}


def test_words_that_are_missing_or_wrong():
    assert aligned('turn on the light', 'Turn on the light.') == (0, [])
    assert aligned('turn on the light', 'on the night') == (2, ['turn', 'light'])
    assert aligned('stop', 'please stop now') == (2, [])


def test_error_rate_is_over_all_words():
    rate = Rate()
    rate.add('one two three', 'one two three')
    rate.add('four', 'five')
    assert rate.value == 0.25
    assert rate.wrong == ['four → five']


def test_a_pause_is_put_where_the_voice_is_quiet():
    clip = np.concatenate([tone(1.0), np.zeros(1600, np.float32), tone(0.5)])
    assert boundary(clip, 0.6) / RATE == pytest.approx(1.05, abs=0.03)
    spread = with_pause(clip, 0.6, 0.8)
    quiet = np.flatnonzero(np.abs(spread) > 0.01)
    assert np.diff(quiet).max() / RATE == pytest.approx(0.8, abs=0.03)


def test_erle_of_what_is_heard_alone():
    before = np.full(3200, 3000, np.int16)
    after = np.full(3200, 30, np.int16)
    before[1600:] = 1
    erle_db = window_erle_db(before, after)
    assert erle_db[0] == pytest.approx(40.0)
    assert np.isnan(erle_db[1])


@pytest.mark.parametrize('kind', [
    'quiet', 'white', 'pink', 'hum', 'fan', 'knocks', 'clicks', 'coughs', 'music'])
def test_backgrounds_are_sound_of_their_length_and_the_same_each_time(kind):
    sound = background(kind, 3.0, 4)
    assert sound.shape == (3 * RATE,) and sound.dtype == np.float32
    assert 1e-4 < np.sqrt(np.mean(sound ** 2)) < 0.3
    assert np.abs(sound).max() <= 1.0
    assert np.array_equal(sound, background(kind, 3.0, 4))


def test_an_unknown_background_is_refused():
    with pytest.raises(ValueError, match='coughs'):
        background('rain', 1.0, 1)


def test_music_differs():
    assert not np.array_equal(music(2.0, 1), music(2.0, 2))


def test_a_family_replaces_its_own_figures_only(tmp_path):
    card = tmp_path / 'out' / 'scorecard.json'
    update(card, 'hearing', 'echo', {'erle_db': {'dry': 40.0}, 'old': 1}, {'load_1min': 1})
    update(card, 'hearing', 'words', {'wer': 0.1}, {})
    update(card, 'hearing', 'echo', {'erle_db': {'dry': 41.0}}, {'load_1min': 2})
    hearing = json.loads(card.read_text())['hearing']
    assert (hearing['erle_db'], hearing['wer']) == ({'dry': 41.0}, 0.1)
    assert 'old' not in hearing
    assert hearing['conditions']['echo'] == {'load_1min': 2, 'figures': ['erle_db']}


def test_a_damaged_scorecard_is_named(tmp_path):
    (tmp_path / 'scorecard.json').write_text('{')
    with pytest.raises(SystemExit, match=r'scorecard\.json: not JSON'):
        update(tmp_path / 'scorecard.json', 'hearing', 'echo', {}, {})


def test_the_picture_leaves_out_what_was_not_measured(tmp_path):
    draw({'wer': 0.05, 'wer_raw': 0.04, 'erle_db': {'dry': 30.0},
          'conditions': {'echo': {'profile': 'cpu', 'machine': 'm', 'commit': 'c',
                                  'load_1min': 0.5, 'quick': True}}}, tmp_path / 'hearing.png')
    assert (tmp_path / 'hearing.png').stat().st_size > 5000


def test_targets():
    rows = {row.name: row for row in ROWS}
    recall = rows['wake recall over the engine alone']
    assert recall.reached(39 / 40) and not recall.reached(38 / 40)
    assert rows['self-wakes of 50'].reached(0) and not rows['self-wakes of 50'].reached(1)


def test_wrong_command_lines(tmp_path, capsys):
    assert main(['hearing', '--only', 'taste', '--out', str(tmp_path)]) == 2
    assert 'taste: expected one of echo' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['hearing', '--recordings', str(tmp_path / 'nowhere')])
    assert 'no such folder' in capsys.readouterr().err


@pytest.mark.parametrize(('onset_s', 'after_s'), [
    (0.5, 0.7), (1.15, 0.05), (1.5, None), (2.2, None)])
def test_how_long_after_an_onset_the_speaker_fell_silent(onset_s, after_s):
    pause = np.zeros(round(0.2 * RATE), np.float32)  # a pause between two words is no silence
    sound = np.concatenate([tone(0.8), pause, tone(0.2), np.zeros(RATE, np.float32), tone(0.3)])
    assert silent_after_s(sound, onset_s) == (
        None if after_s is None else pytest.approx(after_s, abs=0.011))


def test_a_held_speaker_goes_on_where_it_was():
    far = tone(2.0)
    speaker = Speaker(far)
    speaker.hold(0.5)
    assert len(speaker.far) == len(far) + round(RESUME_S * RATE)
    speaker.go_on(1.2)
    assert len(speaker.far) == len(far) + round(0.7 * RATE)
    assert np.array_equal(speaker.far[round(1.2 * RATE):], far[round(0.5 * RATE):])
    assert not speaker.far[round(0.5 * RATE):round(1.2 * RATE)].any()


def test_alarms_add_up():
    assert Alarms(1, 0) + Alarms(2, 1, ('stop',)) == Alarms(3, 1, ('stop',))
