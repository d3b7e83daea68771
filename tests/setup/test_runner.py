# SPDX-License-Identifier: Apache-2.0
"""The test runner: what it counts, and when it says that something is wrong."""
from pathlib import Path
import subprocess
import sys

import pytest
import run_tests


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tests in a repository of its own."""
    monkeypatch.setattr(run_tests, 'ROOT', tmp_path)
    monkeypatch.setattr(run_tests, 'RESULTS', tmp_path / 'out')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'tests/x').mkdir(parents=True)
    return tmp_path / 'tests/x'


def run(folder: Path, source: str, limit_s: float = 60) -> run_tests.Count:
    (folder / 'test_it.py').write_text(source)
    return run_tests.run(folder, limit_s, ['-q', '-p', 'no:cacheprovider'])


def test_results_are_counted(folder):
    count = run(folder, """
import pytest
def test_a(): pass
def test_b(): assert 0
@pytest.mark.skip
def test_c(): pass
@pytest.fixture
def broken(): raise ValueError
def test_d(broken): pass
""")
    assert str(count) == '1 passed, 2 failed, 1 skipped'


@pytest.mark.parametrize('source', [
    'import os; os.abort()', 'def test_a():\n    import os; os._exit(3)', 'no python', ''])
def test_a_run_that_ends_badly_or_without_a_test_is_a_failure(folder, source):
    assert run(folder, source).failed >= 1


def test_a_run_past_its_limit_is_ended_with_all_it_started(folder):
    count = run(folder, """
import subprocess, time
def test_a():
    child = subprocess.Popen(['sleep', '987'])
    open('pid', 'w').write(str(child.pid))
    time.sleep(987)
""", limit_s=8)
    assert count.failed == 1
    pid = int((run_tests.ROOT / 'pid').read_text())
    state = subprocess.run(['ps', '-o', 'stat=', '-p', str(pid)], capture_output=True, text=True,
                           check=False).stdout.strip()
    assert state == '' or state.startswith('Z')


def test_the_whole_graph_comes_last(folder):
    for name in ('system', 'virtual_room'):
        (folder.parent / name).mkdir()
        (folder.parent / name / 'test_it.py').touch()
    (folder / 'test_it.py').touch()
    (run_tests.ROOT / 'src/va_x/test').mkdir(parents=True)
    (run_tests.ROOT / 'src/va_x/test/test_it.py').touch()
    order = [path.parts[-1] for path in run_tests.folders(fast=False)]
    assert order == ['test', 'virtual_room', 'x', 'system']
    assert 'system' not in [path.name for path in run_tests.folders(fast=True)]


@pytest.mark.parametrize(('source', 'line', 'code'), [
    ('def test_a(): pass', '1 passed, 0 failed, 0 skipped', 0),
    ('def test_a(): assert 0', '0 passed, 1 failed, 0 skipped', 1),
    ('', '0 passed, 1 failed, 0 skipped', 1),
])
def test_the_closing_line_stands_alone(folder, monkeypatch, capsys, source, line, code):
    (folder / 'test_it.py').write_text(source)
    monkeypatch.setattr(sys, 'argv', ['run_tests.py', str(folder)])
    assert run_tests.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == line
