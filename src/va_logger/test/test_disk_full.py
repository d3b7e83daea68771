# SPDX-License-Identifier: Apache-2.0
"""A disk that takes no more: reported, nothing half-written, mended by itself.

The failures are real ones: a file size limit of this process, a full tmpfs, a file that has no
room (``/dev/full``).
"""

from contextlib import contextmanager
import json
import os
import resource
import subprocess
import sys

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.logging_queue import AppLine
from va_common.testing import FakeClock
from va_logger.app_log_writer import AppLogWriter
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.dialog_record import check_record
from va_logger.disk_health import DiskHealth, SLOW_WRITE_S


@contextmanager
def files_limited_to(size):
    """Writes behind ``size`` fail, after writing as much as fits: what a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _record(record_id, text='x' * 300):
    return check_record(record_id, 1, 'USER', text, '', 1_800_000_000.0)


def _lines(*texts):
    return [AppLine('INFO', text, 1.0) for text in texts]


def test_a_record_that_does_not_fit_leaves_no_trace_and_goes_in_later(tmp_path):
    dialogs = DialogLogManager(tmp_path)
    dialogs.write('d1', _record('a'))
    path = tmp_path / 'd1.jsonl'
    before = path.read_bytes()
    with files_limited_to(len(before) + 100):
        for _ in range(3):
            with pytest.raises(AssistantError) as raised:
                dialogs.write('d1', _record('b'))
        assert path.read_bytes() == before
    assert raised.value.code == ErrorCode.DISK
    assert 'd1.jsonl: File too large' in raised.value.message
    assert dialogs.write('d1', _record('b')) == 2
    assert [json.loads(line)['sequence'] for line in path.read_text().splitlines()] == [1, 2]
    dialogs.close()


@pytest.mark.parametrize('run_id', ['', 'r1'])
def test_lines_that_do_not_fit_leave_no_trace_and_go_in_later(tmp_path, run_id):
    log = AppLogWriter(tmp_path, 1_000_000, 1, run_id)
    log.write(('s', 'kwd'), 1, _lines('a'))
    path = tmp_path / 'app.log'
    before = path.read_bytes()
    with files_limited_to(len(before) + 20):
        with pytest.raises(AssistantError) as raised:
            log.write(('s', 'kwd'), 2, _lines('b' * 50, 'c'))
        assert path.read_bytes() == before
    assert raised.value.code == ErrorCode.DISK
    assert log.write(('s', 'kwd'), 2, _lines('b' * 50, 'c')) == 2
    assert path.read_text().count('\n') == 3
    log.close()


def test_a_note_that_does_not_fit_takes_the_line_back(tmp_path):
    """The index is longer than the log here, so it is the one that does not fit."""
    log = AppLogWriter(tmp_path, 1_000_000, 1, 'run-' + 'x' * 200)
    sender = ('s' * 100, 'k' * 5)
    log.write(sender, 1, _lines('a'))
    path, index = tmp_path / 'app.log', tmp_path / 'app.log.index'
    before = path.read_bytes(), index.read_bytes()
    assert len(before[1]) > len(before[0]) + 150
    with files_limited_to(len(before[1]) + 10), pytest.raises(AssistantError):
        log.write(sender, 2, _lines('b'))
    assert (path.read_bytes(), index.read_bytes()) == before
    assert log.write(sender, 2, _lines('b')) == 1
    log.close()


TMPFS_TEST = """
import errno, os, subprocess, sys
from va_common.errors import AssistantError, ErrorCode
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.dialog_record import check_record
from pathlib import Path

folder = Path(sys.argv[1])
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', folder], check=True)
dialogs = DialogLogManager(folder)
record = lambda n: check_record(f'r{n}', 1, 'USER', 'x' * 900, '', 1.0)
dialogs.write('d1', record(1))
ballast = folder / 'ballast'
with ballast.open('wb', buffering=0) as file:
    try:
        while True:
            file.write(bytes(1024))
    except OSError as error:
        assert error.errno == errno.ENOSPC
number = 1
try:
    while number < 100:
        dialogs.write('d1', record(number + 1))
        number += 1
except AssistantError as error:
    assert error.code == ErrorCode.DISK, error
    assert 'No space left on device' in error.message, error
else:
    sys.exit('the disk never was full')
ballast.unlink()
assert dialogs.write('d1', record(number + 1)) == number + 1
lines = (folder / 'd1.jsonl').read_text().splitlines()
assert len(lines) == number + 1, (len(lines), number)
"""


READ_ONLY_TEST = """
import subprocess, sys
from pathlib import Path
from va_common.errors import AssistantError, ErrorCode
from va_logger.log_folder import LogFolder

folder = Path(sys.argv[1])
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro', 'none', folder], check=True)
try:
    LogFolder(folder)
except AssistantError as error:
    assert error.code == ErrorCode.DISK, error
    assert f'log folder {folder}: Read-only file system' in error.message, error
    assert 'expected a folder that can be written' in error.message, error
else:
    sys.exit('no error')
"""


@pytest.mark.parametrize('code', [TMPFS_TEST, READ_ONLY_TEST], ids=['full', 'read-only'])
def test_a_real_file_system(tmp_path, code):
    """ENOSPC and EROFS, in a mount namespace of its own: needs no privilege where that works."""
    inside = ['unshare', '--user', '--map-root-user', '--mount']
    if subprocess.run([*inside, 'true'], capture_output=True, timeout=10).returncode:
        pytest.skip('this kernel gives no mount namespace to an ordinary user')
    outcome = subprocess.run([*inside, sys.executable, '-c', code, str(tmp_path)],
                             capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr


def test_the_health_tells_the_beginning_and_the_end():
    told = []
    health = DiskHealth(told.append)
    for _ in range(2):
        with pytest.raises(AssistantError), health.writing():
            raise AssistantError(ErrorCode.DISK, 'full')
    assert health.problem == 'full'
    with health.writing():
        pass
    assert health.problem is None
    assert told == ['full', None]
    assert health.failed_writes == 2


def test_a_write_elsewhere_does_not_mend_it():
    told = []
    health = DiskHealth(told.append)
    with pytest.raises(AssistantError), health.writing('dialogs'):
        raise AssistantError(ErrorCode.DISK, 'read-only')
    with health.writing('app.log'):
        pass
    assert health.problem == 'read-only'
    with health.writing():
        pass
    assert health.problem is None
    assert told == ['read-only', None]


def test_a_bad_request_says_nothing_about_the_disk():
    health = DiskHealth()
    with pytest.raises(AssistantError), health.writing():
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, 'bad')
    assert health.problem is None


def test_a_write_that_hangs_is_a_problem():
    clock = FakeClock()
    health = DiskHealth(clock=clock)
    with health.writing():
        clock.advance(SLOW_WRITE_S + 1)
        assert 'waiting for the disk for more than 5 s' in health.problem
    assert health.problem is None


def test_a_file_without_room_is_an_error_of_the_disk(tmp_path):
    """``/dev/full`` through the file descriptor: write(2) fails with ENOSPC."""
    dialogs = DialogLogManager(tmp_path)
    dialogs.write('d1', _record('a'))
    file = dialogs._open['d1']._file
    real = os.dup(file._fd)
    full = os.open('/dev/full', os.O_WRONLY)
    os.dup2(full, file._fd)
    with pytest.raises(AssistantError) as raised:
        dialogs.write('d1', _record('b'))
    assert raised.value.code == ErrorCode.DISK
    os.close(full)
    os.close(real)
    # The file could not be put right, so it has been dropped; the next write opens it anew.
    assert dialogs.write('d1', _record('b')) == 2
    dialogs.close()
