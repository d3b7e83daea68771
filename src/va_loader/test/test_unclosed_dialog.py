# SPDX-License-Identifier: Apache-2.0
"""The dialog that a loader left open when it died."""

import json

import pytest

from va_common.config_loader import defaults
from va_common.ids import new_dialog_id, TurnKey
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.srv import NewDialog, WriteDialog
from va_loader.node import LoaderNode
from va_loader.unclosed_dialog import find_unclosed

OLD, NEW = (new_dialog_id(seconds, '0000') for seconds in (1e9, 1e9 + 60))
WAKE, END = ('EVENT', 'wake'), ('EVENT', 'dialog_end')


def write(folder, dialog_id, *records, torn=b''):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({'turn': turn, 'role': role, 'text': text})
             for turn, (role, text) in enumerate(records, 1)]
    (folder / f'{dialog_id}.jsonl').write_bytes('\n'.join(lines).encode() + b'\n' + torn)


def test_a_dialog_without_an_end_is_found_with_its_last_turn(tmp_path):
    write(tmp_path, NEW, WAKE, ('USER', 'hi'), torn=b'{"turn": 9, "ro')
    assert find_unclosed(tmp_path) == TurnKey(NEW, 2)


@pytest.mark.parametrize('records', [
    (WAKE, ('USER', 'hi'), END), (('USER', 'of a program'),), ()])
def test_a_closed_or_foreign_dialog_is_left_alone(tmp_path, records):
    write(tmp_path, NEW, *records)
    assert find_unclosed(tmp_path) is None


def test_only_the_newest_counts(tmp_path):
    write(tmp_path, OLD, WAKE)
    write(tmp_path, NEW, WAKE, END)
    (tmp_path / 'dear-diary.jsonl').write_text('mine')
    assert find_unclosed(tmp_path) is None


def test_no_folder_and_no_file(tmp_path):
    assert find_unclosed(tmp_path / 'none') is None
    assert find_unclosed(tmp_path) is None
    (tmp_path / f'{NEW}.jsonl').mkdir()
    assert find_unclosed(tmp_path) is None


def test_the_next_loader_closes_it(tmp_path):
    write(tmp_path / 'dialogs', NEW, WAKE)
    written = []
    with ros_context() as context:
        values = {**defaults().values, 'logger.log_dir': str(tmp_path)}
        node = LoaderNode('cpu', values, dict, context=context, namespace='unclosed_test')
        node.create_service(NewDialog, 'logger/new_dialog', lambda request, response: response)

        def take(request, response):
            written.append(request)
            return response
        node.create_service(WriteDialog, 'logger/write_dialog', take)
        with spin(node):
            node.listen(lambda event: None)
            record = wait_for(lambda: written, 10.0, 'the record')[0]
        node.close()
    assert (record.dialog_id, record.turn, record.text) == (NEW, 1, 'dialog_end')
    assert 'the loader died' in record.data_json
