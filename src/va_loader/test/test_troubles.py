# SPDX-License-Identifier: Apache-2.0
"""What ``./va status`` tells of the past."""

from datetime import datetime, timezone

import pytest

from va_loader import cli
from va_loader.instance import InstanceLock, last_instance
from va_loader.places import run_folder
from va_loader.troubles import recent

NOW_S = 1_800_000_000.0


def line(ago_s, text):
    return f'{datetime.fromtimestamp(NOW_S - ago_s, timezone.utc).isoformat()} {text}\n'


def test_errors_of_all_logs_in_order(tmp_path):
    (tmp_path / 'app.log').write_text(
        line(20, 'ERROR loader: kwd is lost: killed by SIGKILL') + line(19, 'INFO loader: back')
        + line(10, 'WARNING loader: turn 1 of d1 failed at llm: cut off')
        + line(9, 'WARNING stt: no sound from the microphone yet')
        + line(5, 'ERROR loader: stt waits for what it needs: microphone is gone')
        + line(8, 'WARNING loader: tts: ALSA lib underrun occurred')
        + line(28, 'ERROR loader: kwd is lost: killed by SIGKILL'))
    (tmp_path / 'fatal.log').write_text(line(15, 'FATAL loader: killed by SIGSEGV') + '    tail\n')
    assert recent(tmp_path, NOW_S) == [
        '20 s ago: loader: kwd is lost: killed by SIGKILL', '15 s ago: loader: killed by SIGSEGV',
        '10 s ago: loader: turn 1 of d1 failed at llm: cut off',
        '5 s ago: loader: stt waits for what it needs: microphone is gone']


def test_old_news_and_too_many_are_left_out(tmp_path):
    new = ''.join(line(n, f'ERROR tts: {n}') for n in range(9, 0, -1))
    (tmp_path / 'app.log').write_text(line(700, 'ERROR tts: old') + new)
    assert recent(tmp_path, NOW_S, shown=2) == ['2 s ago: tts: 2', '1 s ago: tts: 1']


@pytest.mark.parametrize('content', [b'', b'\xff\xfe\n', b'not a stamp ERROR x: y\n',
                                     b'2026-99-99T00:00:00+00:00 ERROR x: y\n'])
def test_a_torn_log_is_no_trouble(tmp_path, content):
    (tmp_path / 'app.log').write_bytes(content)
    assert recent(tmp_path, NOW_S) == []


def test_no_folder(tmp_path):
    assert recent(tmp_path / 'none', NOW_S) == []


def test_status_of_one_that_ended_tells_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    lock = InstanceLock(run_folder(''))
    lock.describe(log_folder=str(tmp_path))
    lock.release()
    assert last_instance(run_folder(''))['log_folder'] == str(tmp_path)
    stamp = datetime.now(timezone.utc).isoformat()
    (tmp_path / 'app.log').write_text(f'{stamp} ERROR loader: FATAL: phase1 failed 4 times\n')
    assert cli.main(['status']) == 4
    told = capsys.readouterr().err
    assert 'no assistant is running' in told
    assert 'FATAL: phase1 failed 4 times' in told
