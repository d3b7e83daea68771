# SPDX-License-Identifier: Apache-2.0
"""The judge must be able to say no."""
import json

import pytest

from faults import report
from faults.case_table import cases
from faults.evidence import Case, Evidence
from faults.judge import figures, misses, percentile, verdict
from faults.reasons import names
from faults.records import compare, Found, read_dialog, read_lines
from faults.runner import choose


def make(name='kill_tts_idle', **changes):
    return Case(name, 'kill -9 of tts', 'idle', 'hears again', lambda w, e: None, **changes)


def seen(**changes):
    evidence = Evidence(make(), fault_s=100.0, noticed_s=100.2, recovered_s=103.5)
    for key, value in changes.items():
        setattr(evidence, key, value)
    return evidence


def test_a_good_case_passes():
    entry = verdict(seen())
    assert entry['passed']
    assert (entry['recovery_ms'], entry['noticed_ms'], entry['lost_records']) == (3500, 200, 0)
    assert entry['observed'] == 'as expected'


@pytest.mark.parametrize(('changes', 'named'), [
    ({'recovered_s': None}, 'not heard to recover'),
    ({'recovered_s': 200.0}, 'recovered after 100000 ms'),
    ({'lost_records': 1}, '1 acknowledged records lost'),
    ({'duplicated_records': 2}, '2 records twice'),
    ({'left_over': ['tts (17)']}, 'left behind: tts (17)'),
    ({'problems': ['deaf']}, 'deaf'),
])
def test_what_fails_a_case(changes, named):
    entry = verdict(seen(**changes))
    assert not entry['passed']
    assert named in entry['observed']


def test_a_case_that_is_not_to_recover_needs_no_time():
    evidence = Evidence(make(recovers=False), fault_s=1.0, stopped_s=2.5)
    entry = verdict(evidence)
    assert entry['passed']
    assert (entry['recovery_ms'], entry['stop_ms']) == (None, 2500)


def test_a_skipped_case_neither_passes_nor_fails():
    entry = verdict(seen(skipped='no mount here', recovered_s=None))
    built = report.build([entry], 0.0, 1.0, {})
    assert (built['passed'], built['failed'], built['skipped']) == (0, 0, 1)


@pytest.mark.parametrize(('values', 'share', 'expected'), [
    ([], 0.95, None), ([7], 0.95, 7), (range(1, 101), 0.95, 95), ([3, 1, 2], 0.5, 2)])
def test_percentile(values, share, expected):
    assert percentile(values, share) == expected


def test_figures_that_are_missed_are_named():
    slow = verdict(seen(recovered_s=110.0))
    stopped = verdict(Evidence(make(recovers=False), fault_s=1.0, stopped_s=4.0))
    found = figures([slow, stopped])
    assert found['recovery_p95_ms'] == 10000
    assert [miss.split(' ')[0] for miss in misses(found)] == ['recovery_p95_ms', 'stop_max_ms']
    assert misses(figures([verdict(seen())])) == []


def test_only_frozen_processes_count_for_the_time_to_notice():
    assert figures([verdict(seen(noticed_s=109.0))])['frozen_noticed_max_ms'] is None


RECORDS = [(1, 'a'), (2, 'b'), (3, 'c')]


@pytest.mark.parametrize(('acknowledged', 'lines', 'on_disk', 'logged', 'expected'), [
    ({'a': 1, 'c': 3}, ['x'], RECORDS, ['x', 'y'], Found(3, 0, 0, 0)),
    ({'a': 1, 'd': 4}, [], RECORDS, [], Found(2, 1, 0, 0)),
    ({'a': 2}, [], RECORDS, [], Found(1, 1, 0, 0)),
    ({}, ['x', 'z'], RECORDS, ['x'], Found(2, 1, 0, 0)),
    ({}, [], [(1, 'a'), (2, 'a'), (3, 'c')], ['x', 'x'], Found(0, 0, 2, 0)),
    ({}, [], [(2, 'a'), (1, 'b')], [], Found(0, 0, 0, 1)),
])
def test_promises_are_compared_with_the_disk(acknowledged, lines, on_disk, logged, expected):
    assert compare(acknowledged, lines, on_disk, logged) == expected


def test_the_files_are_read(tmp_path):
    (tmp_path / 'dialogs').mkdir()
    lines = [json.dumps({'sequence': n, 'record_id': f'r{n}'}) for n in (1, 2)]
    (tmp_path / 'dialogs' / 'd1.jsonl').write_text('\n'.join([*lines, '{"sequence": 3, "rec']))
    (tmp_path / 'app.log').write_text('fault record case1-2 end\nfault record case12-1 end\n')
    (tmp_path / 'app.last.log').write_text('.. fault record case1-1 end\n')
    assert read_dialog(tmp_path, 'd1') == [(1, 'r1'), (2, 'r2')]
    assert sorted(read_lines(tmp_path, 'case1')) == ['case1-1', 'case1-2']


def test_a_reason_names_the_thing_and_the_cause_on_one_line():
    assert names('tts is lost: killed by SIGKILL', 'tts', ('SIGKILL', 'SIGABRT'))
    assert not names('tts is lost\nkwd: killed by SIGKILL', 'tts', ('SIGKILL',))


def rested(names: tuple[str, ...]) -> bool:
    return 'tired' not in names


def test_the_next_case_respects_the_budget_and_saves_starts():
    ending = make('ends', ends=True)
    costly = make('costly', restarts=('tts',))
    cheap = make('cheap')
    boot = make('boot', config='own', leaves=True)
    own = make('own', config='own')
    everything = [own, ending, costly, boot, cheap]
    assert choose(everything, '', lambda names: True, rested) is boot
    assert choose(everything, 'plain', lambda names: True, rested) is costly
    assert choose(everything, 'plain', lambda names: not names, rested) is cheap
    assert choose([own, ending, costly], 'plain', lambda names: not names, rested) is ending
    assert choose([own, costly], 'plain', lambda names: not names, rested) is None
    assert choose([own, cheap], '', lambda names: True, rested) is own
    tired = make('tired', restarts=('tired',))
    assert choose([tired, cheap], 'plain', lambda names: True, rested) is cheap
    assert choose([tired, costly], 'plain', lambda names: True, rested) is costly
    assert choose([tired, ending], 'plain', lambda names: True, rested) is tired


def test_the_table():
    rows = cases()
    assert len([row for row in rows if not row.opt_in]) >= 50
    assert all(row.when in ('boot', 'idle', 'listening', 'thinking', 'speaking') for row in rows)
    assert 5 <= len([row for row in rows if row.quick]) <= 15


def test_a_line_for_a_person():
    shown = report.line(3, 60, verdict(seen(problems=['deaf'])))
    assert 'FAIL kill_tts_idle' in shown
    assert 'hears again 3.5 s' in shown
    assert shown.endswith('deaf')


def test_the_summary_names_the_figures():
    text = report.summary(report.build([verdict(seen())], 0.0, 60.0, {}))
    assert '1 passed, 0 failed' in text
    assert 'p95 3.5 s' in text
