# SPDX-License-Identifier: Apache-2.0
"""The waterfall of a turn: what was waited for, and what was worked out ahead."""

import pytest

from va_logger.waterfall import AHEAD, COLUMNS, HELD, SILENCE, WAITED, waterfall

START = 1_800_000_000.0
ONE_AFTER_ANOTHER = {
    'speech_end': 0.0, 'endpoint_decided': 2.0, 'final_text': 2.5, 'first_token': 2.7,
    'first_synthesised': 3.1, 'first_audio': 3.2, 'playback_end': 5.0}
AHEAD_OF_THE_ENDPOINT = {
    'speech_end': 0.0, 'endpoint_decided': 2.0, 'final_text': 0.8, 'first_token': 1.0,
    'first_synthesised': 1.5, 'first_audio': 2.4, 'playback_end': 5.0}


def shown(seconds):
    """Stage → (milliseconds after the speech, milliseconds of its own, bar)."""
    lines = list(waterfall({stage: START + at for stage, at in seconds.items()}))
    assert len({len(line) for line in lines}) <= 1
    rows = {}
    for line in lines:
        head, bar = line.rstrip('|').split('|')
        stage, at, _, own, _ = head.split()
        rows[stage] = int(at), int(own), bar
    return rows


def columns(bar, mark):
    return [column for column, cell in enumerate(bar) if cell == mark]


def test_one_after_another_every_stage_begins_where_the_one_before_ended():
    rows = shown(ONE_AFTER_ANOTHER)
    assert [row[:2] for row in rows.values()] == [
        (0, 0), (2000, 2000), (2500, 500), (2700, 200), (3100, 400), (3200, 100), (5000, 1800)]
    assert not any(columns(bar, AHEAD) or columns(bar, HELD) for _, _, bar in rows.values())
    assert columns(rows['endpoint_decided'][2], SILENCE) == list(range(30))
    for before, stage in (('endpoint_decided', 'final_text'), ('final_text', 'first_token'),
                          ('first_token', 'first_synthesised')):
        ended = len(rows[before][2].rstrip())
        assert columns(rows[stage][2], WAITED)[0] == ended
    assert columns(rows['first_audio'][2], WAITED)[-1] == COLUMNS - 1


def test_what_was_worked_out_ahead_lies_before_the_endpoint():
    rows = shown(AHEAD_OF_THE_ENDPOINT)
    assert [row[:2] for row in rows.values()] == [
        (0, 0), (2000, 2000), (800, 800), (1000, 200), (1500, 500), (2400, 400), (5000, 2600)]
    for stage in ('final_text', 'first_token', 'first_synthesised'):
        assert columns(rows[stage][2], AHEAD) and not columns(rows[stage][2], WAITED)
    endpoint = len(rows['endpoint_decided'][2].rstrip())
    sound = rows['first_audio'][2]
    assert columns(sound, HELD) == list(range(30, endpoint))
    assert columns(sound, WAITED) == list(range(endpoint, COLUMNS))


def test_work_that_the_endpoint_fell_into_is_of_both_kinds():
    rows = shown(AHEAD_OF_THE_ENDPOINT | {'first_synthesised': 2.2})
    bar = rows['first_synthesised'][2]
    assert columns(bar, AHEAD)[-1] + 1 == columns(bar, WAITED)[0]


def test_an_answer_before_the_final_text_is_measured_from_the_speech():
    rows = shown({'speech_end': 0.0, 'endpoint_decided': 0.9, 'final_text': 0.95,
                  'first_token': 0.75})
    assert rows['first_token'][:2] == (750, 750)


@pytest.mark.parametrize('seconds', [
    {}, {'first_audio': 1.0}, {'playback_end': 1.0}, {'endpoint_decided': 1.0, 'speech_end': 1.0},
    {'final_text': 1.0, 'endpoint_decided': 3.0}])
def test_stages_that_are_missing(seconds):
    assert list(shown(seconds)) == [stage for stage in ONE_AFTER_ANOTHER if stage in seconds]


def test_a_record_of_something_else_is_no_waterfall():
    assert not list(waterfall({'speech_end': 'yesterday', 'first_audio': None}))
