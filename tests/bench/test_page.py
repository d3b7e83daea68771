# SPDX-License-Identifier: Apache-2.0
"""The page and the picture are made from the scorecard alone."""

from __future__ import annotations

import json

from page import LIMITS, limits, page
import pytest
from run import main

HOW = {'machine': 'Some CPU, 2 cores, 8 GB', 'profile': 'cpu', 'commit': 'abc1234',
       'load_1min': 0.1, 'at': '2026-11-22T20:00:00+00:00', 'words_heard': 0.987,
       'n': '30 of 30 turns', 'command': './va bench voice'}
CARD = {
    'voice_to_voice_ms': {
        'fixed': {'p50': 2050, 'p95': 2400, 'n': 30, 'missed': 1, 'cut_off': 0},
        'smart': {'p50': 700, 'p95': 1300, 'n': 30, 'missed': 0, 'cut_off': 2,
                  'pause_ms': {'p50': 240, 'p95': 600},
                  'gap_ms': {'p50': 0, 'p95': 140, 'n': 30}},
        'baseline': {'p50': 3000, 'p95': 3500, 'n': 30},
        'pipecat': {'p50': 1000, 'p95': 2000, 'n': 30},
        'conditions': {mode: HOW for mode in ('fixed', 'smart', 'baseline', 'pipecat')}},
    'stages_ms': {'fixed': {'endpoint_decided': {'p50': 2000, 'p95': 2010, 'n': 30},
                            'first_audio': {'p50': None, 'p95': None, 'n': 0}}},
    'hearing': {'wer': 0.02},
}


def line_of(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f'| {name} |'))
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_figures_stand_beside_their_targets():
    text = page(CARD)
    assert line_of(text, 'voice to voice, fixed 2 s, p50')[1:] == ['≤ 2100 ms', '2050 ms', 'yes']
    assert line_of(text, 'voice to voice, fixed 2 s, p95')[1:] == [
        '≤ 2300 ms', '2400 ms', '**no**']
    assert line_of(text, 'smart over baseline, p50')[2:] == ['0.233', 'yes']
    assert line_of(text, 'smart over pipecat, p50')[2:] == ['0.7', '**no**']
    assert line_of(text, 'gap inside an answer, smart, p95')[1:] == ['≤ 150 ms', '140 ms', 'yes']
    assert line_of(text, 'soak, missed audio chunks')[2:] == ['not measured', '']
    assert line_of(text, 'word error rate')[1:] == ['≤ 1', '0.02', 'yes']


def test_systems_stand_beside_each_other():
    text = page(CARD)
    assert line_of(text, 'the assistant, smart endpointing')[1:] == [
        '700', '1300', '30', '0', '2', '240 / 600', '99 %']
    assert line_of(text, 'pipecat, 2 s')[1] == 'not measured'
    assert line_of(text, 'fixed')[1:] == ['2000 (2010)', '- (-)']


def test_the_page_says_where_it_comes_from():
    text = page(CARD)
    assert '`./va bench page`' in text
    assert 'abc1234' in text and 'Some CPU' in text
    assert '`./va bench voice`' in text and '30 of 30 turns' in text


def test_what_limits_a_figure_stands_where_it_misses_its_target():
    text = page(CARD, {'voice to voice, fixed 2 s, p95': 'Much was tried.',
                       'voice to voice, fixed 2 s, p50': 'It is reached.'})
    assert 'fixed 2 s, p95: 2400 ms, asked ≤ 2300 ms\n\nMuch was tried.' in text
    assert 'It is reached' not in text
    assert 'smart over pipecat, p50: 0.7, asked ≤ 0.6\n\n*Nothing is written' in text
    assert text.index('Much was tried') < text.index('## Conditions')


def test_limits_are_written_by_figure():
    known = limits('# Title\n\nHow.\n\n## word error rate\n\nWhy.\n\n## idle, of one core\n')
    assert known == {'word error rate': 'Why.', 'idle, of one core': ''}
    assert limits(LIMITS.read_text())
    with pytest.raises(SystemExit, match='"## speed" is no figure'):
        limits('## speed\n\nSlow.')


def test_a_busy_machine_is_named():
    assert 'Not on a quiet machine' not in page(CARD)
    busy = {'soak': {'turns': 3, 'conditions': {'soak': HOW | {'others_core_percent': 40.0}}}}
    assert 'waiting times say little): soak.' in page(busy)


def test_boot_idle_and_scale_have_tables():
    spans = {'p50': 5000, 'p95': 5500, 'n': 7}
    text = page({
        'boot_ms': {'phased': spans, 'components_detail': {'tts': spans}},
        'idle': {'by_process': {'kwd': {'cpu_core_percent': 2.5, 'pss_mb': 60, 'growth_mb': 0}}},
        'scale': {'assistants': {'1': {'pss_mb': 900.0, 'cpu_core_percent': 9.0},
                                 '4': {'not_measured': 'too small'}},
                  'each_further_mb': {}, 'conditions': {'scale': HOW | {'llm': 'one'}}}})
    assert line_of(text, 'tts alone, to SERVING')[1:] == ['5000', '5500', '7']
    assert line_of(text, 'kwd')[1:] == ['2.5', '60', '0']
    assert line_of(text, '4')[1] == 'not measured: too small'


def test_an_empty_scorecard_makes_a_page_without_figures():
    assert '|' not in page({}).replace('scorecard', '')


def test_page_and_picture_are_written(tmp_path, capsys):
    assert main(['page', '--out', str(tmp_path), '--page', str(tmp_path / 'x.md')]) == 1
    assert 'measure first' in capsys.readouterr().err
    (tmp_path / 'scorecard.json').write_text(json.dumps(CARD))
    assert main(['page', '--out', str(tmp_path), '--page', str(tmp_path / 'x.md')]) == 0
    assert (tmp_path / 'x.md').read_text() == page(CARD, limits(LIMITS.read_text()))
    assert (tmp_path / 'scorecard.png').stat().st_size > 10_000
