# SPDX-License-Identifier: Apache-2.0
"""``./va log``: dialogs, waterfall, following."""

import subprocess
import sys
import threading

import pytest

from va_logger.cli import main
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.dialog_record import check_record
from va_logger.log_follow import follow, tail

START = 1_800_000_000.0
TIMES = ('{"speech_end": 1800000000.0, "endpoint_decided": 1800000002.0, '
         '"final_text": 1800000000.6, "first_token": 0.0, "first_audio": 1800000002.1, '
         '"playback_end": 1800000004.0, "voice_to_voice_ms": 2100.0, "outcome": "answered"}')


@pytest.fixture
def log_dir(tmp_path):
    (tmp_path / 'dialogs').mkdir()
    dialogs = DialogLogManager(tmp_path / 'dialogs')
    for dialog_id in ('d20270115T080000.000000-aaaa', 'd20270116T080000.000000-bbbb'):
        for number, (role, text, data) in enumerate([
                ('USER', 'what time is it', ''), ('ASSISTANT', 'Ten.\x1b[2J', '{"heard": 1}'),
                ('EVENT', '', '{"event": "tts_failed"}'), ('LATENCY', '', TIMES)]):
            dialogs.write(dialog_id, check_record(f'r{number}', 1, role, text, data, START))
    dialogs.close()
    (tmp_path / 'app.log').write_text(''.join(f'line {n}\n' for n in range(30)))
    return tmp_path


def _output(capsys, *arguments):
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_overview_has_dialogs_and_the_end_of_the_log(log_dir, capsys):
    code, out, _ = _output(capsys, '--log-dir', str(log_dir), '-n', '2')
    assert code == 0
    assert '2 dialogs in' in out
    assert 'what time is it' in out
    assert out.endswith('line 28\nline 29\n')


def test_all_dialogs_are_listed(log_dir, capsys):
    _, out, _ = _output(capsys, '--log-dir', str(log_dir), '--dialogs')
    assert [line.split()[0] for line in out.splitlines()[2:]] == [
        'd20270115T080000.000000-aaaa', 'd20270116T080000.000000-bbbb']


@pytest.mark.parametrize('wanted, found', [
    ('d20270115T080000.000000-aaaa', 'aaaa'), ('d20270115', 'aaaa'), ('last', 'bbbb')])
def test_a_dialog_is_printed(log_dir, capsys, wanted, found):
    code, out, _ = _output(capsys, '--log-dir', str(log_dir), '--dialog', wanted)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith(found)
    assert lines[1].endswith('turn 1  USER       what time is it')
    assert 'Ten. [2J  heard=1' in lines[2]
    assert 'event=tts_failed' in lines[3]
    assert 'voice to voice 2100 ms' in lines[4]
    assert '\x1b' not in out


@pytest.mark.parametrize('wanted', ['d2027', 'nonsense', '../app'])
def test_a_dialog_that_is_not_one_is_an_error(log_dir, capsys, wanted):
    code, out, err = _output(capsys, '--log-dir', str(log_dir), '--dialog', wanted)
    assert (code, out) == (1, '')
    assert wanted in err and 'expected one' in err


def test_the_waterfall_shows_the_stages_that_were_reached(log_dir, capsys):
    _, out, _ = _output(capsys, '--log-dir', str(log_dir), '--latency')
    lines = out.splitlines()
    assert lines[0].endswith('-bbbb turn 1: answered, voice to voice 2100 ms')
    assert [line.split()[0] for line in lines[1:-1]] == [
        'speech_end', 'endpoint_decided', 'final_text', 'first_audio', 'playback_end']
    # The text was worked out ahead: 0.6 s after the speech, 1.4 s before the endpoint.
    assert lines[3].split()[1:5] == ['600', 'ms', '+600', 'ms']
    assert '=' in lines[3] and '#' not in lines[3]
    assert 'worked ahead' in lines[-1]


def test_nothing_there_yet_is_said(tmp_path, capsys):
    code, out, _ = _output(capsys, '--log-dir', str(tmp_path))
    assert code == 0
    assert '0 dialogs' in out and 'no application log yet' in out


def test_the_log_folder_comes_from_the_configuration(log_dir, tmp_path, capsys):
    config = tmp_path / 'assistant.ini'
    config.write_text(f'[logger]\nlog_dir={log_dir}\n')
    code, out, _ = _output(capsys, '--config', str(config), '--dialogs')
    assert code == 0 and '2 dialogs' in out
    config.write_text('[logger]\nnonsense=1\n')
    code, _, err = _output(capsys, '--config', str(config))
    assert code == 1 and 'nonsense: unknown key' in err


def test_a_reader_that_goes_away_is_no_error(log_dir):
    with (log_dir / 'app.log').open('a') as file:
        file.write('x' * 100 + '\n')
        file.writelines(f'more {n}\n' for n in range(50_000))
    process = subprocess.Popen(
        [sys.executable, '-m', 'va_logger.cli', '--log-dir', str(log_dir), '-n', '50000'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b''
    process.stderr.close()
    assert process.wait(20) == 0


class Follower:
    """Reads a followed file in a thread."""

    def __init__(self, path, lines=2):
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self.lines = []
        self._thread = threading.Thread(target=self._run, args=(path, lines))
        self._thread.start()

    def _run(self, path, lines):
        for line in follow(path, self._stop, lines, poll_s=0.005):
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, *lines):
        with self._changed:
            assert self._changed.wait_for(lambda: self.lines == list(lines), 5), self.lines

    def close(self):
        self._stop.set()
        self._thread.join(5)


@pytest.fixture
def follower(tmp_path):
    followers = []

    def start(*arguments):
        followers.append(Follower(*arguments))
        return followers[-1]

    yield start
    for one in followers:
        one.close()


def test_new_lines_are_followed_when_they_are_whole(tmp_path, follower):
    path = tmp_path / 'app.log'
    path.write_text('a\nb\nc\n')
    following = follower(path)
    following.wait_for('b', 'c')
    with path.open('a') as file:
        file.write('d')
        file.flush()
        file.write('d\ne\n')
    following.wait_for('b', 'c', 'dd', 'e')


def test_a_log_that_comes_later_is_followed(tmp_path, follower):
    following = follower(tmp_path / 'app.log')
    (tmp_path / 'app.log').write_text('a\n')
    following.wait_for('a')


def test_rotation_and_reset_lose_nothing(tmp_path, follower):
    path = tmp_path / 'app.log'
    path.write_text('a\n')
    following = follower(path)
    following.wait_for('a')
    with path.open('a') as file:
        file.write('b\n')
    path.rename(tmp_path / 'app.log.1')
    path.write_text('c\n')
    following.wait_for('a', 'b', 'c')


def test_a_log_that_was_cut_is_followed_on(tmp_path, follower):
    path = tmp_path / 'app.log'
    path.write_text('a\nb\n')
    following = follower(path)
    following.wait_for('a', 'b')
    with path.open('r+') as file:
        file.truncate(2)
    with path.open('a') as file:
        file.write('longer than before\n')
    following.wait_for('a', 'b', 'longer than before')


def test_the_tail_of_a_big_file_begins_with_a_whole_line(tmp_path):
    path = tmp_path / 'app.log'
    path.write_text(''.join(f'{n:099d}\n' for n in range(20_000)))
    lines = tail(path, 1_000_000)
    assert all(len(line) == 99 for line in lines)
    assert tail(path, 1) == [f'{19_999:099d}']
    assert tail(path, 0) == []
    assert tail(tmp_path / 'missing', 5) == []
