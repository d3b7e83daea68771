# SPDX-License-Identifier: Apache-2.0
"""The node: lifecycle, services over ROS, own lines, health."""

import json
import os
import resource
import stat

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common.errors import ErrorCode
from va_common.logging_client import LoggingClient
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.srv import WriteDialog
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.node import LoggerNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def make_node(context, tmp_path):
    nodes = []

    def make(log_dir=None, **settings):
        settings = {'log_dir': str(log_dir or tmp_path / 'log'), **settings}
        overrides = [Parameter(name, value=value) for name, value in settings.items()]
        nodes.append(LoggerNode(
            context=context, serve_health=False, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


def test_configure_and_cleanup_ten_times(make_node, tmp_path):
    node = make_node()
    for _ in range(10):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.problem() is None
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
    # One process is one run: the log was reset by none of the ten.
    assert (tmp_path / 'log' / 'app.log').read_text().count('logs open') == 10
    assert node._ros_parts == []


def test_a_folder_that_cannot_be_written_is_a_clear_error_and_can_be_mended(make_node, tmp_path):
    (tmp_path / 'file').touch()
    node = make_node(log_dir=tmp_path / 'file' / 'log')
    assert node.trigger_configure() == FAILURE
    assert f'{tmp_path}/file/log' in node.problem()
    assert 'expected a folder that can be written' in node.problem()
    (tmp_path / 'file').unlink()
    assert node.trigger_configure() == SUCCESS


def test_two_loggers_do_not_share_a_folder(make_node):
    assert make_node().trigger_configure() == SUCCESS
    second = make_node()
    assert second.trigger_configure() == FAILURE
    assert 'another logger' in second.problem()


def test_old_dialogs_are_deleted_at_the_start(make_node, tmp_path):
    folder = tmp_path / 'log' / 'dialogs'
    folder.mkdir(parents=True)
    old = DialogLogManager(folder)
    old.new_dialog('dold')
    old.close()
    os.utime(folder / 'dold.jsonl', (0, 0))
    node = make_node(retention_days=30)
    assert node.trigger_configure() == SUCCESS
    assert list(folder.iterdir()) == []


def test_own_lines_are_in_the_log_from_the_first_one(make_node, tmp_path):
    node = make_node()
    node.log.info('before configure')
    node.trigger_configure()
    node.trigger_cleanup()
    text = (tmp_path / 'log' / 'app.log').read_text()
    assert ' INFO logger: before configure' in text
    assert ' INFO logger: logs open' in text


def test_an_inactive_logger_refuses_and_the_client_delivers_later(make_node, context, tmp_path):
    logger = make_node()
    logger.trigger_configure()
    sender = Node('sender', context=context)
    client = LoggingClient(sender, 'sender')
    call = sender.create_client(WriteDialog, 'logger/write_dialog')
    with spin(logger, sender):
        assert call.wait_for_service(10)
        future = call.call_async(WriteDialog.Request(dialog_id='d1', record_id='r', role='USER'))
        wait_for(future.done, 10, 'an answer')
        assert future.result().error_code == ErrorCode.NOT_ACTIVE
        outcome = client.dialog('d1', 1, 'USER', 'hello')
        logger.trigger_activate()
        assert outcome.result(10) == 1
        client.app('INFO', 'armed')
        assert client.flush(10)
        client.close(1)
    lines = (tmp_path / 'log' / 'app.log').read_text()
    assert ' INFO sender: armed\n' in lines
    assert 'hello' not in lines
    assert stat.S_IMODE((tmp_path / 'log' / 'dialogs').stat().st_mode) == 0o700
    sender.destroy_node()


def test_a_full_disk_is_reported_and_recovers_by_itself(make_node, context, tmp_path):
    logger = make_node()
    logger.trigger_configure()
    logger.trigger_activate()
    sender = Node('sender', context=context)
    client = LoggingClient(sender, 'sender')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with spin(logger, sender):
        assert client.dialog('d1', 1, 'USER', 'fits').result(10) == 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        try:
            outcome = client.dialog('d1', 1, 'USER', 'x' * 400)
            wait_for(lambda: logger.problem() is not None, 10, 'a health problem')
            assert 'File too large' in logger.problem()
            assert not outcome.done()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert outcome.result(20) == 2
        wait_for(lambda: logger.problem() is None, 10, 'health again')
        assert logger.logging_client.flush(10)
        client.close(1)
    lines = (tmp_path / 'log' / 'dialogs' / 'd1.jsonl').read_text().splitlines()
    assert [json.loads(line)['sequence'] for line in lines] == [1, 2]
    log = (tmp_path / 'log' / 'app.log').read_text()
    assert log.count('the disk takes writes again') == 1
    sender.destroy_node()


def test_the_disk_is_probed_when_no_client_tries(make_node):
    node = make_node()
    node.trigger_configure()
    node.trigger_activate()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        node.log.info('does not fit')
        node.logging_client.flush(0)
        node._probe_disk()
        assert node.problem() is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    node._probe_disk()
    assert node.problem() is None


def test_diagnostics_say_how_much_was_written(make_node, tmp_path):
    node = make_node()
    assert node.diagnostics() == {}
    node.trigger_configure()
    values = node.diagnostics()
    assert values['log_dir'] == str(tmp_path / 'log')
    assert values['dialog_records'] == '0'
    assert int(values['free_mb']) > 0
