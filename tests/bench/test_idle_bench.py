# SPDX-License-Identifier: Apache-2.0
"""What ``./va bench idle`` makes of two looks at the processes."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'bench'))
from idle import Cost, figures_of, name_of


def test_figures_are_shares_of_a_core_and_sums():
    before = {'kwd': Cost(10.0, 40.0, 30.0), 'stt': Cost(5.0, 200.0, 150.0)}
    after = {'kwd': Cost(10.5, 41.0, 31.0), 'stt': Cost(6.0, 199.5, 149.5)}
    figures = figures_of(before, after, 50.0)
    assert figures['by_process'] == {
        'kwd': {'cpu_core_percent': 1.0, 'pss_mb': 41.0, 'growth_mb': 1.0},
        'stt': {'cpu_core_percent': 2.0, 'pss_mb': 199.5, 'growth_mb': -0.5}}
    assert (figures['cpu_core_percent'], figures['pss_mb'], figures['growth_mb']) \
        == (3.0, 240.5, 0.5)


def test_a_process_that_was_not_there_before_has_no_share():
    assert figures_of({}, {'kwd': Cost(1.0, 40.0, 30.0)}, 10.0)['by_process'] == {}


@pytest.mark.parametrize(('command', 'name'), [
    ('python -m va_kwd.main --ros-args', 'kwd'), ('python -m va_loader.loader', 'loader'),
    ('python -m va_loader.main', 'main'), ('va: forker', 'forker'), ('sleep 1', 'other')])
def test_processes_are_called_by_their_programs(command, name):
    assert name_of(command.split()) == name
