# SPDX-License-Identifier: Apache-2.0
"""The demonstration, in a network namespace with loopback only where the system permits one."""
import json
from pathlib import Path
import subprocess
import sys

import pytest
from settings_of_tests import PORT_OFFSET
import soundfile

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / 'virtual_room' / 'demo.py'
LIMIT_S = 280


@pytest.fixture(scope='module')
def demonstration(tmp_path_factory):
    out = tmp_path_factory.mktemp('demo')
    command = [sys.executable, str(DEMO), '--out', str(out), '--port-offset', str(PORT_OFFSET)]
    permitted = subprocess.run(
        [sys.executable, str(HERE / 'loopback_only.py'), 'true'], timeout=30
    )
    if permitted.returncode == 0:
        command = [sys.executable, str(HERE / 'loopback_only.py'), *command]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    print(run.stdout, run.stderr)
    return run, out, permitted.returncode == 0


def test_it_passes(demonstration):
    run, out, _ = demonstration
    assert run.returncode == 0, f'{run.stdout}\n{run.stderr}'
    report = json.loads((out / 'report.json').read_text())
    assert report['passed'], report['problems']
    assert report['wakes'] == {'expected': 2, 'got': 2, 'false': 0}
    assert [turn['turn'] for turn in report['turns']] == [1, 2, 1]
    assert report['boot_ms'] > 0


def test_a_person_can_follow_it(demonstration):
    shown = demonstration[0].stdout
    for text in ('Hi, Master!', 'Hey Jarvis', 'wake word heard', 'understood', 'report.json'):
        assert text in shown


def test_it_leaves_its_files(demonstration):
    out = demonstration[1]
    for name in ('mic.wav', 'speaker.wav'):
        info = soundfile.info(str(out / name))
        assert info.duration > 20
        assert (info.samplerate, info.channels) == (16000, 1)
    assert (out / 'timeline.png').read_bytes().startswith(b'\x89PNG')


def test_what_was_said_is_not_in_the_application_log(demonstration):
    out = demonstration[1]
    logs = [p for p in (out / 'log').rglob('*') if p.is_file() and 'dialog' not in str(p)]
    text = ' '.join(p.read_text(errors='replace') for p in [*logs, out / 'assistant.log'])
    assert logs, 'no application log'
    assert 'capital' not in text.lower()


def test_it_ran_without_a_network(demonstration):
    if not demonstration[2]:
        pytest.skip("network namespaces are not permitted here: it ran in the host's network")
    assert demonstration[0].returncode == 0
