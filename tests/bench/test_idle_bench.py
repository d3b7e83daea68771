# SPDX-License-Identifier: Apache-2.0
"""What ``./va bench idle`` makes of two looks at the processes."""

from pathlib import Path
import sys
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'bench'))
from idle import Cost, figures_of, name_of, vram_by_pid


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


def test_beside_a_gpu_each_process_tells_its_video_memory():
    before = {'tts': Cost(1.0, 40.0, 30.0, 900), 'kwd': Cost(1.0, 40.0, 30.0, 0)}
    figures = figures_of(before, before, 10.0)
    assert {name: cost['vram_mb'] for name, cost in figures['by_process'].items()} \
        == {'tts': 900, 'kwd': 0}
    assert figures['vram_mb'] == 900
    without = {'kwd': Cost(1.0, 40.0, 30.0)}
    assert 'vram_mb' not in figures_of(without, without, 10.0)


def test_video_memory_is_read_by_process_and_without_a_gpu_not_at_all(monkeypatch):
    class FakeNvml:
        NVMLError = RuntimeError

        def __init__(self, fails=''):
            self.fails = fails

        def nvmlInit(self):
            if self.fails:
                raise self.NVMLError(self.fails)

        def nvmlShutdown(self):
            self.fails = 'closed'

        def nvmlDeviceGetHandleByIndex(self, index):
            return index

        def nvmlDeviceGetComputeRunningProcesses(self, handle):
            return [SimpleNamespace(pid=7, usedGpuMemory=3 << 20),
                    SimpleNamespace(pid=8, usedGpuMemory=None)]

    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, 'pynvml', fake)
    assert vram_by_pid() == {7: 3, 8: 0}
    assert fake.fails == 'closed'
    monkeypatch.setitem(sys.modules, 'pynvml', FakeNvml('no driver'))
    assert vram_by_pid() is None


@pytest.mark.parametrize(('command', 'name'), [
    ('python -m va_kwd.main --ros-args', 'kwd'), ('python -m va_loader.loader', 'loader'),
    ('python -m va_loader.main', 'main'), ('va: forker', 'forker'), ('sleep 1', 'other')])
def test_processes_are_called_by_their_programs(command, name):
    assert name_of(command.split()) == name
