# SPDX-License-Identifier: Apache-2.0
"""The quick part of ``./va faults``: one case of each kind on the real graph."""
import json
from pathlib import Path
import subprocess
import sys

import pytest

RUN = Path(__file__).resolve().with_name('run.py')
LIMIT_S = 290
MAY_MISS = ('recovery_p95_ms', 'stop_max_ms')
"""Times of a loaded machine decide nothing here; they are measured by ./va faults."""


@pytest.fixture(scope='module')
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp('faults') / 'report.json'
    run = subprocess.run([sys.executable, str(RUN), '--quick', '--out', str(out)],
                         capture_output=True, text=True, timeout=LIMIT_S)
    print(run.stdout, run.stderr)
    assert out.exists(), run.stderr
    return run, json.loads(out.read_text())


def test_every_case_passes(quick):
    failed = [(case['name'], case['problems']) for case in quick[1]['cases']
              if not case['passed'] and not case['skipped']]
    assert not failed
    assert quick[1]['passed'] >= 8


def test_nothing_is_lost_and_nothing_left(quick):
    figures = quick[1]['figures']
    assert figures['acknowledged_records'] > 50
    assert [figures[k] for k in ('lost_records', 'duplicated_records', 'left_over')] == [0, 0, 0]


def test_no_figure_is_missed_but_for_speed(quick):
    assert not [miss for miss in quick[1]['missed_figures'] if not miss.startswith(MAY_MISS)]


def test_a_person_can_follow_it(quick):
    shown = quick[0].stdout
    for text in ('hears again', 'passed', 'records:', 'report.json'):
        assert text in shown
