# SPDX-License-Identifier: Apache-2.0
"""Dialog files: numbered, each record once, private, whole after a kill, deleted in time."""

import json
import os
import stat

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import is_dialog_id
from va_common.testing import FakeClock
from va_logger.dialog_log_manager import DialogLogManager, OPEN_FILES
from va_logger.dialog_record import check_record, DATA_BYTES, TEXT_BYTES

DAY_S = 86400


def _record(record_id='r1', text='hello', **changes):
    fields = {'record_id': record_id, 'turn': 1, 'role': 'USER', 'text': text, 'data_json': '',
              'stamp_s': 1_800_000_000.0, **changes}
    return check_record(**fields)


def _read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'dialogs'
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def dialogs(folder):
    dialogs = DialogLogManager(folder)
    yield dialogs
    dialogs.close()


def test_a_record_is_one_json_line(dialogs, folder):
    record = _record(text='zwei\nZeilen ä', data_json='{"confidence": 0.9}')
    assert dialogs.write('d1', record) == 1
    assert _read(folder / 'd1.jsonl') == [{
        'sequence': 1, 'stamp': '2027-01-15T08:00:00.000000+00:00', 'dialog_id': 'd1', 'turn': 1,
        'role': 'USER', 'text': 'zwei\nZeilen ä', 'data': {'confidence': 0.9},
        'record_id': 'r1'}]
    assert stat.S_IMODE((folder / 'd1.jsonl').stat().st_mode) == 0o600


def test_no_text_can_make_two_lines(dialogs, folder):
    dialogs.write('d1', _record(text='a\u2028b\x85c\rd\x1ce'))
    assert len((folder / 'd1.jsonl').read_text().splitlines()) == 1
    assert _read(folder / 'd1.jsonl')[0]['text'] == 'a\u2028b\x85c\rd\x1ce'


def test_the_mode_of_a_file_that_was_there_is_mended(dialogs, folder):
    (folder / 'd1.jsonl').touch(mode=0o644)
    dialogs.write('d1', _record())
    assert stat.S_IMODE((folder / 'd1.jsonl').stat().st_mode) == 0o600


def test_a_repeated_record_gives_the_number_it_has(dialogs, folder):
    assert [dialogs.write('d1', _record(i)) for i in ('a', 'b', 'a', 'c', 'b')] == [1, 2, 1, 3, 2]
    assert [r['record_id'] for r in _read(folder / 'd1.jsonl')] == ['a', 'b', 'c']


def test_numbering_and_ids_survive_a_restart(dialogs, folder):
    dialogs.write('d1', _record('a'))
    dialogs.write('d1', _record('b'))
    dialogs.close()
    restarted = DialogLogManager(folder)
    assert [restarted.write('d1', _record(i)) for i in ('b', 'c')] == [2, 3]
    restarted.close()


@pytest.mark.parametrize('torn', [b'{"sequence": 2, "rec', b'\0' * 700, b'{', b'{"a": 1}'])
def test_a_torn_last_line_is_cut(folder, torn):
    mended = []
    dialogs = DialogLogManager(folder, on_mended=lambda *what: mended.append(what))
    dialogs.write('d1', _record('a'))
    dialogs.close()
    with (folder / 'd1.jsonl').open('ab') as file:
        file.write(torn)
    assert dialogs.write('d1', _record('b')) == 2
    assert [r['sequence'] for r in _read(folder / 'd1.jsonl')] == [1, 2]
    assert mended == [('d1', len(torn), 0)]
    dialogs.close()


def test_a_damaged_line_in_the_middle_is_left_alone(folder):
    mended = []
    dialogs = DialogLogManager(folder, on_mended=lambda *what: mended.append(what))
    for record_id in 'abc':
        dialogs.write('d1', _record(record_id))
    dialogs.close()
    lines = (folder / 'd1.jsonl').read_bytes().split(b'\n')
    lines[1] = b'x' * len(lines[1])
    (folder / 'd1.jsonl').write_bytes(b'\n'.join(lines))
    assert dialogs.write('d1', _record('c')) == 3
    assert dialogs.write('d1', _record('d')) == 4
    assert (folder / 'd1.jsonl').read_bytes().split(b'\n')[1] == lines[1]
    assert mended == [('d1', 0, 1)]
    dialogs.close()


@pytest.mark.parametrize('dialog_id', [
    '../x', '/etc/passwd', 'a/b', '.hidden', '', '..', 'a\0b', 'a\nb', 'x' * 101, 'ä', '-x'])
def test_an_id_that_is_no_plain_name_is_refused(dialogs, folder, dialog_id):
    with pytest.raises(AssistantError) as raised:
        dialogs.write(dialog_id, _record())
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT
    assert list(folder.iterdir()) == []


def test_a_link_is_not_followed(dialogs, folder, tmp_path):
    (tmp_path / 'victim').write_text('precious')
    (folder / 'd1.jsonl').symlink_to(tmp_path / 'victim')
    with pytest.raises(AssistantError) as raised:
        dialogs.write('d1', _record())
    assert raised.value.code == ErrorCode.DISK
    assert (tmp_path / 'victim').read_text() == 'precious'


@pytest.mark.parametrize('changes', [
    {'role': 'SYSTEM'}, {'role': ''}, {'record_id': ''}, {'record_id': 'a b'},
    {'record_id': 'x' * 129}, {'data_json': '[1]'}, {'data_json': '{'},
    {'data_json': '{"x": NaN}'}, {'data_json': '{"x": 1e999}'},
    {'data_json': '{"a":' * 50_000}, {'text': 'x' * (TEXT_BYTES + 1)},
    {'data_json': '{"a": "' + 'x' * DATA_BYTES + '"}'}])
def test_a_bad_record_is_refused_with_the_reason_and_without_its_text(changes):
    with pytest.raises(AssistantError) as raised:
        _record(**{'text': 'a secret', **changes})
    assert raised.value.code == ErrorCode.INVALID_ARGUMENT
    assert 'expected' in raised.value.message
    assert 'secret' not in raised.value.message
    assert len(raised.value.message) < 400


def test_opening_makes_an_empty_file_and_gives_the_same_again(dialogs, folder):
    made = dialogs.new_dialog()
    assert is_dialog_id(made)
    assert (folder / f'{made}.jsonl').read_bytes() == b''
    dialogs.write(made, _record())
    assert dialogs.new_dialog(made) == made
    assert len(_read(folder / f'{made}.jsonl')) == 1


def test_two_dialogs_of_one_moment_get_two_ids(folder):
    salts = iter(['aaaa', 'aaaa', 'bbbb'])
    dialogs = DialogLogManager(folder, FakeClock(1_800_000_000.0), lambda: next(salts))
    assert dialogs.new_dialog() != dialogs.new_dialog()
    dialogs.close()


def test_open_files_are_bounded_and_a_closed_dialog_goes_on(dialogs, folder):
    for number in range(3 * OPEN_FILES):
        dialogs.write(f'd{number}', _record('a'))
    assert dialogs.open_files == OPEN_FILES
    assert dialogs.write('d0', _record('b')) == 2
    assert dialogs.write('d0', _record('a')) == 1


def test_a_deleted_file_is_made_anew(dialogs, folder):
    dialogs.write('d1', _record('a'))
    (folder / 'd1.jsonl').unlink()
    assert dialogs.write('d1', _record('b')) == 1
    assert len(_read(folder / 'd1.jsonl')) == 1


def test_a_deleted_folder_is_made_anew(dialogs, folder):
    dialogs.write('d1', _record('a'))
    (folder / 'd1.jsonl').unlink()
    folder.rmdir()
    assert dialogs.write('d1', _record('b')) == 1


def test_only_dialogs_past_retention_are_deleted(folder):
    clock = FakeClock(1_800_000_000.0)
    dialogs = DialogLogManager(folder, clock)
    for name, days in (('old', 31), ('young', 29)):
        dialogs.write(name, _record())
        os.utime(folder / f'{name}.jsonl', (0, clock() - days * DAY_S))
    (folder / 'notes.txt').touch()
    os.utime(folder / 'notes.txt', (0, 0))
    assert dialogs.delete_older_than(0) == []
    assert dialogs.delete_older_than(30) == ['old']
    assert sorted(path.name for path in folder.iterdir()) == ['notes.txt', 'young.jsonl']
    assert dialogs.write('old', _record()) == 1
    dialogs.close()
