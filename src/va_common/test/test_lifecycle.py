# SPDX-License-Identifier: Apache-2.0
"""The base of every node, driven by its lifecycle callbacks and over real ROS communication."""

import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common.errors import AssistantError, ErrorCode
from va_common.lifecycle import AssistantNode
from va_common.testing import ros_context, spin, wait_for

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class FakeNode(AssistantNode):
    """A node that notes what it is asked to do."""

    def __init__(self, **kwargs):
        self.done = []
        self.broken = ''
        self.code = ErrorCode.ENGINE_FAILED
        self.configuring = False
        self.wait_in_configure = None
        self.troubles = []
        super().__init__('kwd', section='kwd', serve_health=False, **kwargs)

    def _note(self, what):
        self.done.append(what)
        if what == self.broken:
            raise AssistantError(self.code, f'{what} is broken')

    def do_configure(self):
        self.configuring = True
        if self.wait_in_configure:
            self.wait_in_configure.wait(10)
        self._note('configure')

    def do_activate(self):
        self._note('activate')

    def do_deactivate(self):
        self._note('deactivate')

    def do_cleanup(self):
        self._note('cleanup')

    def warnings(self):
        return self.troubles

    def on_setting(self, key, value):
        self.done.append((key, value))


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def node(context):
    node = FakeNode(context=context)
    yield node
    node.close()


def test_the_hooks_run_in_order(node):
    for trigger in (node.trigger_configure, node.trigger_activate, node.trigger_deactivate,
                    node.trigger_cleanup):
        assert trigger() == SUCCESS
    assert node.done == ['configure', 'activate', 'deactivate', 'cleanup']


def test_a_failed_configure_is_cleaned_up_and_can_be_repeated(node):
    node.broken = 'configure'
    assert node.trigger_configure() == FAILURE
    assert node.done == ['configure', 'cleanup']
    assert node.problem() == 'configure failed: configure is broken'
    node.broken = ''
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    assert node.problem() is None


@pytest.mark.parametrize(('code', 'waits'), [
    (ErrorCode.DEVICE_FAILED, True), (ErrorCode.DISK, True), (ErrorCode.UNAVAILABLE, True),
    (ErrorCode.ENGINE_FAILED, False), (ErrorCode.INTERNAL, False)])
def test_only_for_what_is_away_another_process_would_be_of_no_use(node, code, waits):
    node.broken, node.code = 'configure', code
    assert node.trigger_configure() == FAILURE
    assert node._waits(node.problem()) == waits


def test_a_failed_activate_is_undone(node):
    node.broken = 'activate'
    node.trigger_configure()
    assert node.trigger_activate() == FAILURE
    assert node.done == ['configure', 'activate', 'deactivate']
    assert not node.is_active


def test_configure_and_cleanup_ten_times(node):
    for _ in range(10):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
    assert len(node.done) == 20


def test_a_failure_while_active_shows_until_deactivated(node):
    node.trigger_configure()
    node.trigger_activate()
    node.fail('the microphone is gone')
    assert node.problem() == 'the microphone is gone'
    node.trigger_deactivate()
    node.trigger_activate()
    assert node.problem() is None


def test_a_line_of_the_log_is_bounded(node, capfd):
    node.log.warning('refused', dialog='x' * 5000)
    assert 'x' * 1001 not in capfd.readouterr().err


def test_work_is_refused_unless_active(node):
    with pytest.raises(AssistantError, match='kwd is not active'):
        node.require_active()


def set_parameter(node, name, value):
    return node.set_parameters([Parameter(name, value=value)])[0]


def test_settings_are_checked_and_live_ones_are_told(node):
    assert set_parameter(node, 'confidence_threshold', 0.7).successful
    assert node.setting('confidence_threshold') == 0.7
    assert node.done == [('confidence_threshold', 0.7)]
    assert not set_parameter(node, 'confidence_threshold', 1.7).successful
    assert not set_parameter(node, 'confidence_threshold', 'high').successful
    result = set_parameter(node, 'audio.audio_source', 'radio')
    assert not result.successful
    assert 'expected one of device, topic' in result.reason
    assert node.setting('confidence_threshold') == 0.7


def test_overrides_reach_the_settings(context):
    node = FakeNode(context=context, parameter_overrides=[
        Parameter('cooldown_ms', value=5), Parameter('yes_phrases', value=['Aye']),
        Parameter('system.port_offset', value=900)])
    assert node.setting('cooldown_ms') == 5
    assert node.setting('yes_phrases') == ('Aye',)
    assert node.setting('system.port_offset') == 900
    node.close()


def test_a_node_alone_brings_itself_up(context):
    node = FakeNode(context=context, parameter_overrides=[Parameter('autostart', value=True)])
    assert node.done == []
    with spin(node):
        wait_for(lambda: node.is_active, 5, 'the node to be active')
    assert node.done == ['configure', 'activate']
    node.close()


def test_state_is_answered_while_configure_runs(context, node):
    node.wait_in_configure = threading.Event()
    asker = Node('asker', context=context)
    client = asker.create_client(GetState, '/kwd/get_state')
    with spin(node, asker):
        assert client.wait_for_service(10)
        configure = threading.Thread(target=node.trigger_configure)
        configure.start()
        future = client.call_async(GetState.Request())
        state = wait_for(lambda: future.done() and future.result(), 5, 'an answer to get_state')
        assert state.current_state.label == 'configuring'
        node.wait_in_configure.set()
        configure.join(5)
    asker.destroy_node()


def test_close_waits_for_the_configure_that_runs(context):
    node = FakeNode(context=context)
    node.wait_in_configure = threading.Event()
    configure = threading.Thread(target=node.trigger_configure)
    configure.start()
    wait_for(lambda: node.configuring, 5, 'configure to begin')
    close = threading.Thread(target=node.close)
    close.start()
    node.wait_in_configure.set()
    configure.join(5)
    close.join(5)
    assert node.done == ['configure', 'cleanup']


def test_diagnostics_and_remote_parameters(context, node):
    other = Node('robot', context=context)
    seen = []
    other.create_subscription(DiagnosticArray, '/diagnostics', seen.append, 10)
    client = other.create_client(SetParameters, '/kwd/set_parameters')
    with spin(node, other):
        node.trigger_configure()
        node.trigger_activate()
        wait_for(lambda: any(m.status[0].message == 'serving' for m in seen), 5, 'diagnostics')
        assert client.wait_for_service(10)
        request = SetParameters.Request(
            parameters=[Parameter('confidence_threshold', value=0.8).to_parameter_msg()])
        future = client.call_async(request)
        wait_for(future.done, 5, 'set_parameters')
        assert future.result().results[0].successful
    assert node.setting('confidence_threshold') == 0.8
    assert seen[0].status[0].name == 'kwd: kwd'
    other.destroy_node()


def test_a_warning_is_on_diagnostics_while_the_node_serves(context, node):
    other, seen = Node('robot', context=context), []
    other.create_subscription(DiagnosticArray, '/diagnostics', seen.append, 10)

    def told(level, message):
        return any((m.status[0].level, m.status[0].message) == (level, message) for m in seen)

    with spin(node, other):
        node.trigger_configure()
        node.trigger_activate()
        wait_for(lambda: told(DiagnosticStatus.OK, 'serving'), 10, 'serving')
        node.troubles = ['it is muted', 'it stutters']
        wait_for(lambda: told(DiagnosticStatus.WARN, 'serving, but it is muted; it stutters'), 10,
                 'the warning')
        assert node.problem() is None
    other.destroy_node()
