# SPDX-License-Identifier: Apache-2.0
"""The application log: form, order, once each, reset, rotation, restart within a run."""

import stat

import pytest

from va_common.logging_queue import AppLine
from va_logger.app_log_writer import AppLogWriter
from va_logger.sequence_ranges import RANGES, Ranges, SeenLines, SENDERS

SENDER = ('run1', 'kwd')


def _lines(*texts):
    return [AppLine('INFO', text, 1_800_000_000.25) for text in texts]


def _texts(path):
    return [line.split(': ', 1)[1] for line in path.read_text().splitlines()]


@pytest.fixture
def open_log(tmp_path):
    logs = []

    def open_log(max_bytes=100_000, backups=2, run_id=''):
        logs.append(AppLogWriter(tmp_path, max_bytes, backups, run_id))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


def test_a_line_has_time_level_source_and_text(open_log, tmp_path):
    open_log().write(SENDER, 1, _lines('armed'))
    line = (tmp_path / 'app.log').read_text()
    assert line == '2027-01-15T08:00:00.250000+00:00 INFO kwd: armed\n'
    assert stat.S_IMODE((tmp_path / 'app.log').stat().st_mode) == 0o600


def test_an_event_is_one_line_whatever_is_in_it(open_log, tmp_path):
    open_log().write(SENDER, 1, _lines('a\nb\r\x1b[2J\u2028c ä'))
    text = (tmp_path / 'app.log').read_text()
    assert len(text.splitlines()) == 1
    assert r'a\nb\r\x1b[2J\u2028c ä' in text


def test_what_was_written_is_not_written_again(open_log, tmp_path):
    log = open_log()
    assert log.write(SENDER, 1, _lines('a', 'b')) == 2
    assert log.write(SENDER, 1, _lines('a', 'b')) == 0
    assert log.write(SENDER, 2, _lines('b', 'c')) == 1
    assert _texts(tmp_path / 'app.log') == ['a', 'b', 'c']


def test_numbers_that_arrive_out_of_order_are_all_written(open_log, tmp_path):
    log = open_log()
    log.write(SENDER, 5, _lines('five'))
    log.write(SENDER, 1, _lines('one'))
    assert _texts(tmp_path / 'app.log') == ['five', 'one']


@pytest.mark.parametrize('other', [('run2', 'kwd'), ('run1', 'stt')])
def test_another_sender_counts_for_itself(open_log, tmp_path, other):
    log = open_log()
    log.write(SENDER, 1, _lines('a'))
    log.write(other, 1, _lines('b'))
    assert _texts(tmp_path / 'app.log') == ['a', 'b']


def test_a_start_keeps_the_last_log_only(open_log, tmp_path):
    for text in ('first', 'second', 'third'):
        log = open_log()
        log.write(SENDER, 1, _lines(text))
        log.close()
    assert _texts(tmp_path / 'app.log') == ['third']
    assert _texts(tmp_path / 'app.last.log') == ['second']


def test_an_empty_log_does_not_replace_the_last_one(open_log, tmp_path):
    log = open_log()
    log.write(SENDER, 1, _lines('useful'))
    log.close()
    open_log().close()
    open_log().close()
    assert _texts(tmp_path / 'app.last.log') == ['useful']


def test_rotation_keeps_order_and_bounds_the_size(open_log, tmp_path):
    log = open_log(max_bytes=1000, backups=2)
    for number in range(200):
        log.write(SENDER, number + 1, _lines(f'line {number:03d}'))
    files = [tmp_path / name for name in ('app.log.2', 'app.log.1', 'app.log')]
    assert sorted(path.name for path in tmp_path.glob('app.log*')) == sorted(
        path.name for path in files)
    assert all(path.stat().st_size <= 1000 for path in files)
    kept = [text for path in files for text in _texts(path)]
    assert kept == [f'line {number:03d}' for number in range(200 - len(kept), 200)]


def test_the_rotated_parts_of_the_last_run_are_kept_with_it(open_log, tmp_path):
    log = open_log(max_bytes=200)
    for number in range(12):
        log.write(SENDER, number + 1, _lines(f'line {number} of some length'))
    log.close()
    before = [_texts(tmp_path / name) for name in ('app.log', 'app.log.1', 'app.log.2')]
    open_log().close()
    names = ('app.last.log', 'app.last.log.1', 'app.last.log.2')
    assert [_texts(tmp_path / name) for name in names] == before


def test_a_logger_restarted_in_the_same_run_goes_on(open_log, tmp_path):
    log = open_log(run_id='r1')
    log.write(SENDER, 1, _lines('a', 'b'))
    log.close()
    log = open_log(run_id='r1')
    assert log.continued
    assert log.write(SENDER, 1, _lines('a', 'b')) == 0
    log.write(SENDER, 3, _lines('c'))
    assert _texts(tmp_path / 'app.log') == ['a', 'b', 'c']
    assert not (tmp_path / 'app.last.log').exists()
    log.close()
    assert not open_log(run_id='r2').continued
    assert _texts(tmp_path / 'app.last.log') == ['a', 'b', 'c']


def test_what_a_killed_logger_had_not_noted_is_written_once(open_log, tmp_path):
    """Killed between the line and the note of it: the sender sends the line again."""
    log = open_log(run_id='r1')
    log.write(SENDER, 1, _lines('a'))
    log.close()
    with (tmp_path / 'app.log').open('a') as file:
        file.write('2027-01-15T08:00:00.250000+00:00 INFO kwd: b\n2027-01-15T08:00')
    log = open_log(run_id='r1')
    log.write(SENDER, 2, _lines('b'))
    assert _texts(tmp_path / 'app.log') == ['a', 'b']


def test_a_torn_index_forgets_only_its_last_entry(open_log, tmp_path):
    log = open_log(run_id='r1')
    log.write(SENDER, 1, _lines('a'))
    log.write(SENDER, 2, _lines('b'))
    log.close()
    index = tmp_path / 'app.log.index'
    index.write_bytes(index.read_bytes()[:-5])
    log = open_log(run_id='r1')
    assert log.write(SENDER, 1, _lines('a', 'b')) == 1
    assert _texts(tmp_path / 'app.log') == ['a', 'b']


@pytest.mark.parametrize('content', [b'', b'garbage', b'{"run_id": 1}\n', b'\xff\xfe'])
def test_an_unreadable_index_means_a_new_run(open_log, tmp_path, content):
    log = open_log(run_id='r1')
    log.write(SENDER, 1, _lines('a'))
    log.close()
    (tmp_path / 'app.log.index').write_bytes(content)
    assert not open_log(run_id='r1').continued
    assert _texts(tmp_path / 'app.last.log') == ['a']


def test_a_restart_after_rotation_still_knows_the_rotated_lines(open_log, tmp_path):
    log = open_log(max_bytes=200, backups=5, run_id='r1')
    for number in range(1, 7):
        log.write(SENDER, number, _lines(f'line {number} of some length'))
    log.close()
    log = open_log(max_bytes=200, backups=5, run_id='r1')
    assert log.write(SENDER, 1, _lines('again')) == 0
    assert log.write(SENDER, 6, _lines('again')) == 0


def test_a_log_that_somebody_deleted_begins_anew(open_log, tmp_path):
    log = open_log()
    log.write(SENDER, 1, _lines('a'))
    (tmp_path / 'app.log').unlink()
    log.write(SENDER, 2, _lines('b'))
    assert _texts(tmp_path / 'app.log') == ['b']


def test_ranges_merge_and_stay_few():
    ranges = Ranges()
    ranges.add(1, 3)
    ranges.add(4, 2)
    assert ranges.ranges == [[1, 6]]
    assert 1 in ranges and 5 in ranges and 0 not in ranges and 6 not in ranges
    for number in range(10, 10 + 4 * RANGES, 2):
        ranges.add(number, 1)
    assert len(ranges.ranges) == RANGES


def test_senders_are_bounded():
    seen = SeenLines()
    for number in range(SENDERS + 1):
        seen.add((str(number), 'x'), 1, 1)
    assert len(seen.dump()) == SENDERS
    assert seen.unseen(('0', 'x'), 1, 1) == [0]
    assert seen.unseen((str(SENDERS), 'x'), 1, 1) == []
