# SPDX-License-Identifier: Apache-2.0
"""What boot and soak make of their raw values."""

from __future__ import annotations

from boot import COMPONENTS, summary, WAYS
import psutil
import pytest
from scale import figures_of as scale_of
from scale import has_model
from soak import ChunkCounter, figures_of, growth, pss_mb


def test_the_slowest_component_is_named():
    times = {way: [1000.0, 3000.0] for way in WAYS} | {name: [500.0] for name in COMPONENTS}
    times['llm'] = [900.0, 700.0]
    figures = summary(times)
    assert figures['phased'] == {'p50': 2000, 'p95': 2900, 'n': 2}
    assert figures['slowest_component'] == {'p50': 800, 'p95': 890, 'n': 2, 'name': 'llm'}
    assert set(figures['components_detail']) == set(COMPONENTS)


def test_growth_compares_the_ends_and_leaves_out_the_first():
    assert growth([500.0, *[100.0] * 10, *[150.0] * 10]) == (100.0, 150.0)
    assert growth([9.0, 1.0, 2.0]) == (1.0, 2.0)
    assert growth([1.0, 2.0]) == (1.0, 2.0)
    with pytest.raises(ValueError, match='no values'):
        growth([])


def test_figures_of_a_soak():
    counter = ChunkCounter(0)
    for sequence in (4, 5, 6, 9, 10, 0, 1):
        counter.take(sequence)
    latency = [{'speech_end': 10.0, 'first_token': 10.0 + wait, 'outcome': 'answered'}
               for wait in (0.9, 0.1, 0.1, 0.2)] + [{'outcome': 'failed', 'speech_end': 9.0}]
    figures = figures_of([900.0, 1000.0, 1010.0, 1030.5], latency, counter)
    assert (figures['turns'], figures['pss_growth_mb']) == (4, 30.5)
    assert figures['first_token_growth'] == 2.0
    assert figures['missed_audio'] == 2
    assert figures['soak_detail']['chunks'] == 7


def test_memory_of_a_process():
    assert pss_mb([psutil.Process()]) > 1.0
    assert pss_mb([]) == 0.0


def test_what_further_assistants_cost():
    cost = {count: {'pss_mb': mb, 'cpu_core_percent': 5.0}
            for count, mb in ((1, 1000.0), (2, 1500.0), (4, 2800.0))}
    figures = scale_of(cost)
    assert figures['second_memory'] == 0.5
    assert figures['each_further_mb'] == {'2': 500.0, '4': 600.0}
    assert figures['assistants']['4']['pss_mb'] == 2800.0


def test_no_server_is_no_model():
    assert not has_model('http://127.0.0.1:9', 'smollm2:135m')
    assert not has_model('nonsense', 'smollm2:135m')
