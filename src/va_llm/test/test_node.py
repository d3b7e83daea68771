# SPDX-License-Identifier: Apache-2.0
"""The node: lifecycle, turns over ROS, stop, completions, health."""

from pathlib import Path
import sys
import time

from action_msgs.msg import GoalStatus
import pytest
from rclpy.action import ActionClient
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import qos
from va_common.errors import AssistantError, ErrorCode
from va_common.ros_time import to_msg, to_seconds
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.action import Complete
from va_interfaces.msg import ChatMessage, PlaybackEvent, ReplyChunk, Transcript
from va_interfaces.srv import Cancel, ResumeDialog
from va_llm.node import LlmNode

sys.path.insert(0, str(Path(__file__).parent))
from llm_fakes import FakeEngine

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class NodeWithFakeEngine(LlmNode):
    """The node with an engine that the test holds."""

    def __init__(self, **kwargs):
        self.fake = FakeEngine()
        super().__init__(**kwargs)

    def make_engine(self, modelfile):
        return self.fake


class Robot(Node):
    """What is around the node: stt, tts, loader and a robot program."""

    def __init__(self, context):
        super().__init__('robot', context=context)
        self.transcripts = self.create_publisher(Transcript, 'stt/transcript', qos.EVENTS)
        self.playback = self.create_publisher(PlaybackEvent, 'tts/playback', qos.EVENTS)
        self.chunks = []
        self.create_subscription(ReplyChunk, 'llm/chunk', self.chunks.append, qos.EVENTS)
        self.drafts = []
        self.create_subscription(ReplyChunk, 'llm/draft', self.drafts.append, qos.EVENTS)
        self.stopper = self.create_client(Cancel, 'llm/stop')
        self.resumer = self.create_client(ResumeDialog, 'llm/resume')
        self.completer = ActionClient(self, Complete, 'llm/complete')

    def say(self, text, turn=1, dialog_id='d1', **fields):
        fields = {'kind': Transcript.FINAL, 'outcome': Transcript.OUTCOME_SPEECH, **fields}
        self.transcripts.publish(Transcript(
            dialog_id=dialog_id, turn=turn, text=text, **fields))

    def pause(self, text='Can you?', revision=0, ago_s=0.3, turn_end_s=30.0):
        """The user pauses after a text; the turn ends ``turn_end_s`` from now."""
        self.say(text, kind=Transcript.PARTIAL, revision=revision,
                 speech_end=to_msg(time.time() - ago_s),
                 endpoint_time=to_msg(time.time() + turn_end_s))

    def reply(self, turn=1, dialog_id='d1'):
        chunks = [c for c in self.chunks if (c.dialog_id, c.turn) == (dialog_id, turn)]
        return chunks if chunks and chunks[-1].is_last else []

    def resume(self, text='Can you?', turn=3, revision=1, history=(), listeners=()):
        messages = [ChatMessage(role=role, content=content) for role, content in history]
        return result(self.resumer.call_async(ResumeDialog.Request(
            dialog_id='d1', turn=turn, revision=revision, text=text, history=messages,
            listeners=list(listeners))))

    def stop(self, dialog_id='', turn=0):
        request = Cancel.Request(dialog_id=dialog_id, turn=turn, reason='test')
        return result(self.stopper.call_async(request))


def result(future, timeout_s=10):
    wait_for(future.done, timeout_s, 'an answer of a service')
    return future.result()


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def make_node(context):
    nodes = []

    def make(factory=NodeWithFakeEngine, **settings):
        overrides = [Parameter(name, value=value) for name, value in settings.items()]
        nodes.append(factory(context=context, serve_health=False, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node):
    node = make_node()
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    return node


@pytest.fixture
def robot(context, node):
    robot = Robot(context)
    with spin(node, robot):
        wait_for(lambda: robot.transcripts.get_subscription_count()
                 and robot.playback.get_subscription_count()
                 and robot.count_publishers('llm/chunk')
                 and robot.count_publishers('llm/draft')
                 and robot.stopper.service_is_ready()
                 and robot.resumer.service_is_ready()
                 and robot.completer.server_is_ready(), 15, 'discovery')
        yield robot
        node.fake.gate.set()
    robot.destroy_node()


def test_configure_and_cleanup_ten_times(make_node):
    node = make_node()
    for _ in range(10):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.problem() is None
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert node.fake.closed
    assert node._entities == []


def test_with_the_real_engine_of_the_cpu_profile(make_node):
    node = make_node(LlmNode, **{'engine': 'llama_cpp'})
    for _ in range(2):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.problem() is None
        assert node.diagnostics()['engine'] == 'llama_cpp'
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS


@pytest.mark.parametrize('settings', [
    {'modelfile': '/none/Modelfile'},
    {'engine': 'llama_cpp', 'model_cpu': 'gpt-9'},
    {'engine': 'llama_cpp', 'model_cpu': '/none/x.gguf'},
    {'engine': 'ollama', 'ollama_url': 'http://127.0.0.1:9'},
    {'engine': 'ollama', 'ollama_url': 'http://10.0.0.1:11434'},
])
def test_a_setting_that_cannot_work_fails_configure_and_can_be_mended(make_node, settings):
    node = make_node(LlmNode, **settings)
    assert node.trigger_configure() == FAILURE
    assert node.trigger_configure() == FAILURE
    assert next(iter(settings.values())) or node.problem()


def test_a_turn(robot):
    robot.say('Can you?')
    chunks = wait_for(robot.reply, 10, 'the reply')
    assert ''.join(chunk.text for chunk in chunks) == 'Yes I can .'
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert chunks[-1].error_code == 0
    assert chunks[0].header.stamp.sec > 0


def test_only_final_speech_of_dialogs_is_answered(robot, node):
    robot.say('half', kind=Transcript.PARTIAL)
    robot.say('', kind=Transcript.STARTED)
    robot.say('', outcome=Transcript.OUTCOME_NO_SPEECH)
    robot.say('', outcome=Transcript.OUTCOME_FAILED)
    robot.say('of the action listen', dialog_id='listen-1')
    robot.say('Can you?', turn=2)
    wait_for(lambda: robot.reply(2), 10, 'the reply')
    assert {chunk.turn for chunk in robot.chunks} == {2}
    assert len(node.fake.requests) == 2  # the probe of configure and the turn


def test_what_was_said_before_a_pause_is_answered_ahead(robot, node):
    robot.pause()
    wait_for(lambda: robot.drafts and robot.drafts[-1].is_last, 10, 'the draft')
    assert ''.join(chunk.text for chunk in robot.drafts) == 'Yes I can .'
    ended_s = time.time()
    robot.say('Can you?')
    chunks = wait_for(robot.reply, 10, 'the reply')
    assert ''.join(chunk.text for chunk in chunks) == 'Yes I can .'
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert to_seconds(chunks[0].header.stamp) < ended_s
    assert len(node.fake.requests) == 2, 'the probe of configure, and one answer'


def test_who_speaks_on_hears_only_the_answer_to_all_of_it(robot, node):
    node.fake.hold()
    robot.pause('Can you')
    assert node.fake.at_gate.wait(10)
    robot.say('', kind=Transcript.RESUMED, revision=1)
    wait_for(lambda: robot.drafts and robot.drafts[-1].error_code == ErrorCode.CANCELLED, 10,
             'the draft is given up')
    robot.say('Can you fly?', revision=1)
    chunks = wait_for(robot.reply, 10, 'the reply')
    assert {chunk.revision for chunk in robot.chunks} == {1}
    assert chunks[-1].error_code == 0
    assert node.fake.requests[-1].messages[-1].content == 'Can you fly?'
    assert not any(m.content == 'Can you' for m in node.fake.requests[-1].messages)


@pytest.mark.parametrize('outcome', [Transcript.OUTCOME_STOP, Transcript.OUTCOME_FAILED])
def test_a_turn_without_a_question_drops_its_draft(robot, node, outcome):
    robot.pause()
    wait_for(lambda: robot.drafts and robot.drafts[-1].is_last, 10, 'the draft')
    robot.say('', outcome=outcome)
    wait_for(lambda: robot.drafts[-1].error_code == ErrorCode.CANCELLED, 10, 'its end')
    assert robot.chunks == []


def test_no_draft_when_it_is_not_wanted_or_there_is_no_time(robot, node):
    robot.say('in the middle', kind=Transcript.PARTIAL)
    robot.pause(ago_s=10.0, turn_end_s=0.1)
    node.set_parameters([Parameter('speculation', value=False)])
    robot.pause()
    robot.say('Can you?')
    assert wait_for(robot.reply, 10, 'the reply')[-1].error_code == 0
    assert robot.drafts == []


def test_a_draft_that_fails_is_made_again(robot, node):
    node.fake.failure = AssistantError(ErrorCode.TIMEOUT, 'no first token')
    robot.pause()
    wait_for(lambda: robot.drafts and robot.drafts[-1].error_code, 10, 'the failure')
    node.fake.failure = None
    robot.say('Can you?')
    assert wait_for(robot.reply, 10, 'the reply')[-1].error_code == 0


def test_a_wrong_message_is_answered_with_an_error_and_the_node_lives(robot):
    robot.say('x' * 9000)
    (chunk,) = wait_for(robot.reply, 10, 'the error')
    assert chunk.error_code == ErrorCode.INVALID_ARGUMENT
    assert 'xxx' not in chunk.error_msg
    robot.say('Can you?', turn=2)
    assert wait_for(lambda: robot.reply(2), 10, 'the reply')[-1].error_code == 0


def test_a_newer_turn_ends_an_older_one(robot, node):
    node.fake.hold()
    robot.say('Can you?')
    assert node.fake.at_gate.wait(10)
    robot.say('No.', turn=2)
    assert wait_for(robot.reply, 10, 'the old end')[-1].error_code == ErrorCode.CANCELLED
    assert wait_for(lambda: robot.reply(2), 10, 'the new reply')[-1].error_code == 0


def test_stop(robot, node):
    node.fake.hold()
    robot.say('Can you?')
    assert node.fake.at_gate.wait(10)
    assert robot.stop('d1', 1).error_code == 0
    chunks = wait_for(robot.reply, 10, 'the end')
    assert ''.join(chunk.text for chunk in chunks) == 'Yes'
    assert chunks[-1].error_code == ErrorCode.CANCELLED


def test_the_history_keeps_what_was_heard(robot, node):
    robot.say('Can you?')
    wait_for(robot.reply, 10, 'the reply')
    robot.playback.publish(PlaybackEvent(
        kind=PlaybackEvent.INTERRUPTED, source=PlaybackEvent.SOURCE_REPLY, dialog_id='d1', turn=1,
        text='Yes'))
    history = node._runner.history
    wait_for(lambda: history._dialogs['d1'][0].assistant == 'Yes …', 10, 'the correction')
    robot.say('Go on', turn=2)
    wait_for(lambda: robot.reply(2), 10, 'the reply')
    said = [m.content for m in node.fake.requests[-1].messages]
    assert said[-3:] == ['Can you?', 'Yes …', 'Go on']


def test_a_failing_engine_ends_the_reply_and_shows_in_the_health(robot, node):
    node.fake.failure = AssistantError(ErrorCode.UNAVAILABLE, 'Ollama is away')
    robot.say('Can you?')
    (chunk,) = wait_for(robot.reply, 10, 'the error')
    assert (chunk.error_code, chunk.error_msg) == (ErrorCode.UNAVAILABLE, 'Ollama is away')
    wait_for(lambda: node.problem() == 'Ollama is away', 10, 'the problem')
    node.fake.failure = None
    robot.say('Now?', turn=2)
    wait_for(lambda: robot.reply(2), 10, 'the reply')
    wait_for(lambda: node.problem() is None, 10, 'recovery')


def test_deactivate_ends_what_runs(robot, node):
    node.fake.hold()
    robot.say('Can you?')
    assert node.fake.at_gate.wait(10)
    assert node.trigger_deactivate() == SUCCESS
    assert wait_for(robot.reply, 10, 'the end')[-1].error_code == ErrorCode.UNAVAILABLE
    assert robot.stop().error_code == ErrorCode.NOT_ACTIVE


# A dialog that was lost with a process ---------------------------------------------------------

SAID = (('user', 'My name is Ann.'), ('assistant', 'Hello Ann.'), ('user', 'Hm'))


def test_a_lost_question_is_answered_with_what_was_said_before(robot, node):
    assert robot.resume('Who am I?', history=SAID).error_code == 0
    chunks = wait_for(lambda: robot.reply(3), 10, 'the reply')
    assert {chunk.revision for chunk in chunks} == {1}
    assert chunks[0].sequence == 0
    said = [message.content for message in node.fake.requests[-1].messages]
    assert said[-4:] == ['My name is Ann.', 'Hello Ann.', 'Hm', 'Who am I?']


def test_what_is_known_of_a_dialog_is_not_replaced(robot, node):
    robot.say('Can you?', turn=1)
    wait_for(robot.reply, 10, 'the reply')
    assert robot.resume('Who am I?', history=SAID).error_code == 0
    wait_for(lambda: robot.reply(3), 10, 'the reply')
    said = [message.content for message in node.fake.requests[-1].messages]
    assert said[-3:] == ['Can you?', 'Yes I can .', 'Who am I?']


def test_asking_twice_for_the_same_answer_gives_it_once(robot, node):
    before = len(node.fake.requests)
    assert robot.resume().error_code == robot.resume().error_code == 0
    wait_for(lambda: robot.reply(3), 10, 'the reply')
    assert len(node.fake.requests) == before + 1


def test_only_what_was_said_is_taken_without_a_text(robot, node):
    before = len(node.fake.requests)
    assert robot.resume('', history=SAID).error_code == 0
    assert len(node.fake.requests) == before
    robot.say('Who am I?', turn=3)
    wait_for(lambda: robot.reply(3), 10, 'the reply')
    assert 'Hello Ann.' in [message.content for message in node.fake.requests[-1].messages]


def test_it_waits_until_those_who_need_the_answer_are_connected(robot, node):
    answer = robot.resume(listeners=['robot', 'tts'])
    assert answer.error_code == ErrorCode.UNAVAILABLE
    assert 'tts' in answer.error_msg
    wait_for(lambda: robot.resume(listeners=['robot']).error_code == 0, 10, 'the robot is known')


def test_it_waits_until_the_engine_has_proved_itself_after_a_failure(robot, node):
    node.fake.failure = AssistantError(ErrorCode.UNAVAILABLE, 'Ollama is away')
    robot.say('Can you?')
    wait_for(robot.reply, 10, 'the error')
    assert robot.resume().error_code == ErrorCode.UNAVAILABLE
    node.fake.failure = None
    wait_for(lambda: robot.resume().error_code == 0, 15, 'it is well again')


@pytest.mark.parametrize('fields', [
    {'text': 'x' * 9000}, {'history': [('robot', 'x')]}, {'history': [('user', 'x' * 9000)]},
    {'history': [('user', 'x')] * 65}])
def test_a_bad_resumption_is_refused_with_a_reason(robot, fields):
    answer = robot.resume(**fields)
    assert answer.error_code == ErrorCode.INVALID_ARGUMENT
    assert 'expected' in answer.error_msg


def test_no_resumption_while_inactive(robot, node):
    assert node.trigger_deactivate() == SUCCESS
    assert robot.resume().error_code == ErrorCode.NOT_ACTIVE


def test_the_rest_that_was_heard_after_a_restart_of_tts_keeps_the_beginning(node):
    history = node._runner.history
    history.begin('d1', 1, 'Tell me')
    history.answer('d1', 1, 'One.  Two. Three.')
    assert history.correct('d1', 1, 'Two.')
    assert history._dialogs['d1'][0].assistant == 'One. Two. …'


def test_live_settings(node):
    results = node.set_parameters([Parameter('first_token_timeout_ms', value=1500),
                                   Parameter('max_tokens', value=2)])
    assert all(r.successful for r in results)
    assert node._deadlines.first_token_s == 1.5
    assert not node.set_parameters([Parameter('max_tokens', value=0)])[0].successful


# The action -------------------------------------------------------------------------------------

def send(robot, feedback=None, **fields):
    goal = Complete.Goal(temperature=-1.0, **fields)
    return result(robot.completer.send_goal_async(goal, feedback_callback=feedback))


def ask(text='hi', role='user'):
    return [ChatMessage(role=role, content=text)]


def test_a_completion(robot):
    pieces = []
    handle = send(robot, lambda message: pieces.append(message.feedback.chunk.text),
                  messages=ask())
    wait_for(lambda: ''.join(pieces) == 'Yes I can .', 10, 'the feedback')  # none after the result
    answer = result(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.text == 'Yes I can .'
    assert (answer.result.finish_reason, answer.result.prompt_tokens,
            answer.result.completion_tokens) == ('stop', 3, 4)


@pytest.mark.parametrize('messages', [
    [], ask(role='robot'), ask(''), ask('x' * 40_000), ask(role='assistant')])
def test_a_bad_completion_is_aborted_with_its_reason(robot, messages):
    answer = result(send(robot, messages=messages).get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error_code == ErrorCode.INVALID_ARGUMENT
    assert 'expected' in answer.result.error_msg


def test_cancel_of_a_completion(robot, node):
    node.fake.hold()
    handle = send(robot, messages=ask())
    assert node.fake.at_gate.wait(10)
    result(handle.cancel_goal_async())
    answer = result(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert (answer.result.text, answer.result.finish_reason) == ('Yes', 'cancelled')
    assert answer.result.error_code == ErrorCode.CANCELLED


def test_a_turn_goes_before_a_completion(robot, node):
    node.fake.hold()
    handle = send(robot, messages=ask())
    assert node.fake.at_gate.wait(10)
    robot.say('Can you?')
    assert wait_for(robot.reply, 10, 'the reply')[-1].error_code == 0
    answer = result(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.error_msg == 'stopped: turn d1/1 goes before'


def test_too_many_completions(robot, node):
    node.fake.hold()
    handles = [send(robot, messages=ask()) for _ in range(2)]
    wait_for(lambda: len(node._runner._jobs) == 2, 10, 'both')
    answer = result(send(robot, messages=ask()).get_result_async())
    assert answer.result.error_code == ErrorCode.BUSY
    node.fake.gate.set()
    assert [result(h.get_result_async()).result.error_code for h in handles] == [0, 0]


def test_a_completion_while_inactive(robot, node):
    assert node.trigger_deactivate() == SUCCESS
    answer = result(send(robot, messages=ask()).get_result_async())
    assert answer.result.error_code == ErrorCode.NOT_ACTIVE


@pytest.mark.parametrize(('name', 'waits'), [('ollama', True), ('llama_cpp', False)])
def test_only_an_engine_of_another_process_is_waited_for(node, robot, name, waits):
    """The loader restarts a node with a broken engine, and leaves one whose server is away."""
    node.fake.name = name
    node.fake.failure = AssistantError(ErrorCode.UNAVAILABLE, 'it is away')
    assert not node.waits_for_device()
    robot.say('Can you?')
    wait_for(lambda: node.problem() == 'it is away', 10, 'the problem')
    assert node.waits_for_device() is waits
