# SPDX-License-Identifier: Apache-2.0
"""What the services answer."""

import json
from types import SimpleNamespace

from builtin_interfaces.msg import Time
import pytest

from va_common.errors import ErrorCode
from va_common.testing import FakeClock
from va_interfaces.srv import NewDialog, WriteApp, WriteDialog
from va_logger.app_log_writer import AppLogWriter
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.disk_health import DiskHealth
from va_logger.rpc_sink import LINE_CHARACTERS, LINES, RpcSink


@pytest.fixture
def sink(tmp_path):
    (tmp_path / 'dialogs').mkdir()
    app_log = AppLogWriter(tmp_path, 100_000, 1)
    dialogs = DialogLogManager(tmp_path / 'dialogs')
    refused = []
    sink = RpcSink(app_log, dialogs, DiskHealth(), refused.append, FakeClock(1_800_000_000.0))
    sink.refused = refused
    yield sink
    app_log.close()
    dialogs.close()


def _write_app(sink, **changes):
    fields = {'source': 'kwd', 'sender_id': 's', 'first_sequence': 1, 'levels': ['INFO'],
              'lines': ['armed'], **changes}
    return sink.write_app(WriteApp.Request(**fields), WriteApp.Response())


def _write_dialog(sink, **changes):
    fields = {'dialog_id': 'd1', 'turn': 1, 'record_id': 'r1', 'role': 'USER', 'text': 'hello',
              **changes}
    return sink.write_dialog(WriteDialog.Request(**fields), WriteDialog.Response())


def test_lines_go_in(sink, tmp_path):
    assert _write_app(sink).error_code == ErrorCode.OK
    assert _write_app(sink).error_code == ErrorCode.OK
    expected = '2027-01-15T08:00:00.000000+00:00 INFO kwd: armed\n'
    assert (tmp_path / 'app.log').read_text() == expected


@pytest.mark.parametrize('changes', [
    {'source': ''}, {'source': 'a b'}, {'source': 'x\nINFO faked: line'}, {'levels': []},
    {'levels': ['LOUD']}, {'sender_id': 'x' * 129}, {'lines': ['x' * (LINE_CHARACTERS + 1)]},
    {'lines': ['x'] * (LINES + 1), 'levels': ['INFO'] * (LINES + 1)},
    {'lines': ['a', 'b'], 'levels': ['INFO', 'INFO'], 'stamps': [Time(sec=1)]},
])
def test_bad_lines_are_refused_with_a_logged_reason(sink, tmp_path, changes):
    answer = _write_app(sink, **changes)
    assert answer.error_code == ErrorCode.INVALID_ARGUMENT
    assert 'expected' in answer.error_msg
    assert sink.refused == [f'write_app refused: {answer.error_msg}']
    assert (tmp_path / 'app.log').read_text() == ''


def test_no_lines_are_fine(sink):
    assert _write_app(sink, lines=[], levels=[]).error_code == ErrorCode.OK


def test_records_go_in_once_and_are_numbered(sink, tmp_path):
    answers = [_write_dialog(sink, record_id=i, data_json='{"a": 1}') for i in ('a', 'b', 'a')]
    assert [(answer.sequence, answer.error_code) for answer in answers] == [(1, 0), (2, 0), (1, 0)]
    lines = (tmp_path / 'dialogs' / 'd1.jsonl').read_text().splitlines()
    assert [json.loads(line)['record_id'] for line in lines] == ['a', 'b']
    assert json.loads(lines[0])['stamp'].startswith('2027-01-15')


def test_a_bad_record_is_refused_and_its_text_is_not_logged(sink):
    answer = _write_dialog(sink, role='GOD', text='a secret')
    assert answer.error_code == ErrorCode.INVALID_ARGUMENT
    assert "role 'GOD': expected one of USER" in answer.error_msg
    assert len(sink.refused) == 1 and 'secret' not in sink.refused[0]


def test_opening(sink, tmp_path):
    answer = sink.new_dialog(NewDialog.Request(), NewDialog.Response())
    assert (tmp_path / 'dialogs' / f'{answer.dialog_id}.jsonl').exists()
    assert answer.error_code == ErrorCode.OK
    again = sink.new_dialog(NewDialog.Request(dialog_id=answer.dialog_id), NewDialog.Response())
    assert again.dialog_id == answer.dialog_id
    bad = sink.new_dialog(NewDialog.Request(dialog_id='../x'), NewDialog.Response())
    assert bad.error_code == ErrorCode.INVALID_ARGUMENT


def test_what_nobody_foresaw_is_an_answer_too(sink):
    answer = sink.write_app(SimpleNamespace(source=None), WriteApp.Response())
    assert answer.error_code == ErrorCode.INTERNAL
    assert 'TypeError' in answer.error_msg
