# SPDX-License-Identifier: Apache-2.0
"""The ROS side: messages at the door, lifecycle client, the node and a dialog over topics."""

import asyncio
from dataclasses import replace
import threading

from lifecycle_msgs.msg import State
import pytest
from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import qos
from va_common.config_loader import defaults
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.lifecycle import AssistantNode
from va_common.ros_time import to_msg
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.action import Speak
from va_interfaces.msg import (
    AssistantState,
    PlaybackEvent,
    ReplyChunk,
    Transcript,
    TurnReport,
    Wake,
)
from va_interfaces.srv import (
    Cancel,
    ContinueReply,
    Pause,
    ResumeDialog,
    StartListening,
    StopListening,
)
from va_loader import dialog_commands, messages
from va_loader.dialog_events import NodeBack, NodeLost, Opened, Outcome
from va_loader.dialog_manager import DialogManager
from va_loader.dialog_port import DialogPort
from va_loader.event_bus import EventBus
from va_loader.failures import NodeFailure
from va_loader.lifecycle_client import LifecycleClient
from va_loader.node import LoaderNode
from va_loader.turn_report import StageTimes
from va_loader.turn_report import TurnReport as TurnTimes

NAMESPACE = 'va_loader_ros_test'


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def loop():
    """A loop that runs in a thread, as the loader's does in its main thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5.0)
    loop.close()


def in_loop(loop, coroutine, timeout_s=20.0):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout_s)


# Messages --------------------------------------------------------------------------------------

@pytest.mark.parametrize(('convert', 'message', 'text'), [
    (messages.speech, Transcript(kind=9), 'Transcript.kind 9'),
    (messages.speech, Transcript(kind=2, outcome=9), 'Transcript.outcome 9'),
    (messages.speech, Transcript(kind=2, text='x' * 20_001), '20001 characters'),
    (messages.reply_piece, ReplyChunk(text='x' * 20_001), 'at most 20000'),
    (messages.playback, PlaybackEvent(kind=17), 'PlaybackEvent.kind 17'),
    (messages.wake_heard, Wake(phrase='x' * 201), 'Wake.phrase'),
])
def test_a_message_out_of_bounds_is_refused_with_a_reason(convert, message, text):
    with pytest.raises(AssistantError, match=text) as caught:
        convert(message)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_other_sound_is_no_event():
    assert messages.playback(PlaybackEvent(source=PlaybackEvent.SOURCE_SPEAK)) is None


def test_a_final_transcript_keeps_its_times():
    message = Transcript(kind=2, dialog_id='d', turn=3, revision=1, text='hi',
                         speech_end=to_msg(10.5), endpoint_time=to_msg(12.5))
    event = messages.speech(message)
    assert event.key == TurnKey('d', 3, 1)
    assert (event.outcome, event.speech_end_s, event.endpoint_s) == (Outcome.SPEECH, 10.5, 12.5)


def test_when_the_first_sound_was_ready_reaches_the_report():
    event = messages.playback(PlaybackEvent(dialog_id='d', turn=3, synthesised=to_msg(11.5)))
    assert event.synthesised_s == 11.5
    report = TurnTimes(TurnKey('d', 3), 'answered', StageTimes(first_synthesised=11.5))
    assert messages.report_message(report).first_synthesised == to_msg(11.5)


# Lifecycle client ------------------------------------------------------------------------------

class FakeManaged(AssistantNode):
    """A managed node that does as it is told."""

    def __init__(self, context):
        super().__init__('tts', section='tts', context=context, namespace=NAMESPACE,
                         serve_health=False)
        self.configured = 0
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def do_configure(self):
        self.gate.wait(10.0)
        if self.refuses:
            raise AssistantError(ErrorCode.MODEL_MISSING, 'model is missing')
        self.configured += 1


@pytest.fixture
def pair(context, loop):
    managed = FakeManaged(context)
    caller = Node('caller', context=context, namespace=NAMESPACE)
    client = LifecycleClient(caller, 'tts', ReentrantCallbackGroup())
    with spin(managed, caller):
        in_loop(loop, client.available())
        yield managed, client
    managed.close()
    caller.destroy_node()


def test_up_and_down_ten_times(pair, loop):
    managed, client = pair

    async def cycle():
        await client.configure()
        await client.activate()
        await client.go_down()
    for _ in range(10):
        in_loop(loop, cycle())
    assert managed.configured == 10
    assert in_loop(loop, client._state()) == State.PRIMARY_STATE_UNCONFIGURED


def test_what_is_done_already_is_not_asked_for_again(pair, loop):
    managed, client = pair
    for _ in range(2):
        in_loop(loop, client.configure())
        in_loop(loop, client.activate())
    assert managed.configured == 1
    in_loop(loop, client.deactivate())
    in_loop(loop, client.deactivate())


def test_a_refusal_names_step_and_state(pair, loop):
    managed, client = pair
    managed.refuses = True
    with pytest.raises(NodeFailure, match='tts: configure: refused, it is unconfigured'):
        in_loop(loop, client.configure())


def test_a_wait_for_a_slow_transition_can_be_cancelled(pair, loop):
    managed, client = pair
    managed.gate.clear()
    with pytest.raises(asyncio.TimeoutError):
        in_loop(loop, asyncio.wait_for(client.configure(), 0.5))
    managed.gate.set()
    in_loop(loop, client.configure())
    assert managed.configured == 1


def test_a_node_on_its_way_up_is_left_alone_on_the_way_down(pair, loop):
    managed, client = pair
    managed.gate.clear()
    asked = asyncio.run_coroutine_threadsafe(client.configure(), loop)
    wait_for(lambda: in_loop(loop, client._state()) == 10, 5.0, 'configuring')
    in_loop(loop, asyncio.wait_for(client.go_down(), 1.0))
    managed.gate.set()
    asked.result(5.0)


# A dialog over topics --------------------------------------------------------------------------

class FakeNodes(Node):
    """stt, llm and tts as far as the loader sees them."""

    def __init__(self, context):
        super().__init__('others', context=context, namespace=NAMESPACE)
        group = ReentrantCallbackGroup()
        self.listens, self.stops, self.spoken, self.states, self.reports = [], [], [], [], []
        self.overs, self.pauses = [], []
        self.refuse_listening = False
        self.resumed, self.pieces = [], []
        self.not_yet = 0
        for kind, name, answer in (
                (StartListening, 'stt/start', self._listen),
                (StopListening, 'stt/stop', self._stop),
                (Pause, 'tts/pause', self._pause),
                (Cancel, 'tts/stop', self._stop), (Cancel, 'llm/stop', self._stop),
                (ResumeDialog, 'llm/resume', self._resume),
                (ContinueReply, 'tts/continue', self._continue)):
            self.create_service(kind, name, answer, callback_group=group)
        self._speak_server = ActionServer(
            self, Speak, 'tts/speak', self._speak, callback_group=group)
        self.create_subscription(AssistantState, 'loader/state', self._see, qos.STATE)
        self.create_subscription(TurnReport, 'loader/turn_report', self.reports.append, qos.EVENTS)
        self.wakes = self.create_publisher(Wake, 'kwd/wake', qos.EVENTS)
        self.transcripts = self.create_publisher(Transcript, 'stt/transcript', qos.EVENTS)
        self.chunks = self.create_publisher(ReplyChunk, 'llm/chunk', qos.EVENTS)
        self.playback = self.create_publisher(PlaybackEvent, 'tts/playback', qos.EVENTS)

    def _see(self, message):
        self.states.append(message.name)

    def _listen(self, request, response):
        (self.overs if request.over_playback else self.listens).append(request)
        if self.refuse_listening:
            response.error_code, response.error_msg = int(ErrorCode.BUSY), 'microphone is gone'
        return response

    def _stop(self, request, response):
        self.stops.append(request)
        return response

    def _pause(self, request, response):
        self.pauses.append(request)
        return response

    def _resume(self, request, response):
        self.resumed.append(request)
        if len(self.resumed) <= self.not_yet:
            response.error_code, response.error_msg = int(ErrorCode.UNAVAILABLE), 'not yet'
        return response

    def _continue(self, request, response):
        self.pieces.append(request.chunk)
        if len(self.pieces) <= self.not_yet:
            response.error_code, response.error_msg = int(ErrorCode.NOT_ACTIVE), 'not yet'
        return response

    def _speak(self, goal):
        self.spoken.append(goal.request.text)
        goal.succeed()
        return Speak.Result(heard=goal.request.text)

    def now(self):
        return self.get_clock().now().to_msg()

    def wake(self):
        message = Wake(model='hey_jarvis', phrase='hey jarvis', acknowledgement='Yes?', score=0.9,
                       word_end=self.now())
        message.header.stamp = self.now()
        self.wakes.publish(message)

    def say(self, kind, text='', over=False, **fields):
        listen = (self.overs if over else self.listens)[-1]
        message = Transcript(dialog_id=listen.dialog_id, turn=listen.turn, kind=kind, text=text,
                             speech_end=self.now(), endpoint_time=self.now(), **fields)
        message.header.stamp = self.now()
        self.transcripts.publish(message)

    def answer(self, text, is_last=True, **fields):
        listen = self.listens[-1]
        message = ReplyChunk(dialog_id=listen.dialog_id, turn=listen.turn, text=text,
                             is_last=is_last, **fields)
        message.header.stamp = self.now()
        self.chunks.publish(message)

    def play(self, kind, text, **fields):
        listen = self.listens[-1]
        message = PlaybackEvent(kind=kind, dialog_id=listen.dialog_id, turn=listen.turn, text=text,
                                **fields)
        message.header.stamp = self.now()
        self.playback.publish(message)


class Wired:
    """Node, bus, manager and port of a loader, put together as the loader does."""

    def __init__(self, context, loop):
        self.node = LoaderNode(
            'cpu', defaults().values, dict, context=context, namespace=NAMESPACE,
            parameter_overrides=[Parameter('ack_delay_ms', value=50)])
        self.manager = DialogManager(self.node.rules(), self.node.choose, self.node.salt)
        self.bus = EventBus(self.manager.handle, lambda command: self.port.execute(command),
                            self.node.log.error)
        self.port = DialogPort(self.node, loop, self.bus.post)
        self.node.listen(self.bus.post)
        self.loop = loop

    def begin(self, others):
        self.bus.start()
        for client in (self.port._start, self.port._stop, self.port._pauses,
                       *self.port._cancels.values()):
            assert client.wait_for_service(30.0)
        assert self.port._speak.wait_for_server(30.0)
        wait_for(lambda: others.wakes.get_subscription_count() == 1
                 and others.states and others.transcripts.get_subscription_count()
                 and others.chunks.get_subscription_count()
                 and others.playback.get_subscription_count(), 30.0, 'discovery')
        self.node.board.run()
        self.bus.post(Opened())

    def close(self):
        in_loop(self.loop, self.port.close())
        self.bus.stop()


@pytest.fixture
def wired(context, loop):
    rig, others = Wired(context, loop), FakeNodes(context)
    with spin(rig.node, others):
        rig.begin(others)
        yield rig, others
        rig.close()
    rig.node.destroy_node()
    others.destroy_node()


def saw(others, name):
    wait_for(lambda: name in others.states, 10.0, f'{name} in {others.states}')


def test_a_turn_over_topics(wired):
    _, others = wired
    others.wake()
    wait_for(lambda: others.spoken == ['Yes?'], 10.0, 'the acknowledgement')
    assert others.listens[0].wake_phrase == 'hey jarvis'
    saw(others, 'listening')
    others.say(Transcript.STARTED)
    others.say(Transcript.FINAL, 'what time is it')
    saw(others, 'thinking')
    others.answer('It is noon.')
    others.play(PlaybackEvent.STARTED, '')
    saw(others, 'speaking')
    others.play(PlaybackEvent.FINISHED, 'It is noon.')
    saw(others, 'follow_up')
    wait_for(lambda: len(others.listens) == 2, 10.0, 'the follow-up')
    assert (others.listens[1].turn, others.listens[1].no_speech_timeout_ms) == (2, 4000)
    wait_for(lambda: others.reports, 10.0, 'the report')
    assert others.reports[0].outcome == 'answered'
    others.states.clear()
    others.say(Transcript.FINAL, outcome=Transcript.OUTCOME_NO_SPEECH)
    saw(others, 'idle')


def test_speaking_over_an_answer_holds_it_and_words_end_it(wired):
    _, others = wired
    asked(others)
    others.answer('Once upon a time.')
    others.play(PlaybackEvent.STARTED, '')
    saw(others, 'speaking')
    wait_for(lambda: others.overs, 10.0, 'listening over the answer')
    assert (others.overs[0].turn, 'stop' in others.overs[0].stop_phrases) == (2, True)
    how = Pause.Request
    for kind, wanted in ((Transcript.NOTICED, how.DUCK), (Transcript.STARTED, how.HOLD),
                         (Transcript.WITHDRAWN, how.GO_ON), (Transcript.STARTED, how.HOLD)):
        seen = len(others.pauses)
        others.say(kind, over=True)
        wait_for(lambda: len(others.pauses) > seen, 10.0, 'the pause')  # noqa: B023
        assert (others.pauses[-1].what, others.pauses[-1].turn) == (wanted, 1)
    others.states.clear()
    others.say(Transcript.PARTIAL, 'Wait', over=True)
    wait_for(lambda: len(others.stops) == 2, 10.0, 'both stops')
    saw(others, 'listening')
    others.play(PlaybackEvent.INTERRUPTED, 'Once')
    wait_for(lambda: others.reports, 10.0, 'the report')
    assert others.reports[0].outcome == 'interrupted'
    others.say(Transcript.FINAL, 'Wait, what?', over=True)
    saw(others, 'thinking')


def test_a_wake_while_speaking_stops_both_nodes(wired):
    _, others = wired
    others.wake()
    saw(others, 'listening')
    others.say(Transcript.FINAL, 'tell me a story')
    saw(others, 'thinking')
    others.answer('Once upon a time.')
    others.play(PlaybackEvent.STARTED, '')
    saw(others, 'speaking')
    others.wake()
    wait_for(lambda: len(others.stops) == 2, 10.0, 'both stops')
    wait_for(lambda: len(others.listens) == 2, 10.0, 'listening again')
    assert others.listens[1].dialog_id == others.listens[0].dialog_id


def test_an_apology_waits_until_tts_has_been_told_to_be_silent(wired, monkeypatch):
    rig, others = wired
    told, held = threading.Event(), asyncio.Event()

    async def call(name, *_, **__):
        if name == 'tts/stop':
            told.set()
            await held.wait()
    monkeypatch.setattr(rig.port, '_call', call)
    key = TurnKey('d20261122T102233.123456-1a2b', 1)
    rig.port.execute(dialog_commands.StopReply(key, 'llm failed'))
    rig.port.execute(dialog_commands.Speak('apology', 'Sorry.', key))
    rig.port.execute(dialog_commands.Speak('ack', 'Of the next turn.', replace(key, turn=2)))
    assert told.wait(10.0)
    wait_for(lambda: others.spoken, 10.0, 'the phrase of the next turn')
    assert others.spoken == ['Of the next turn.']
    rig.loop.call_soon_threadsafe(held.set)
    wait_for(lambda: others.spoken[1:] == ['Sorry.'], 10.0, 'the apology')


def asked(others):
    others.wake()
    saw(others, 'listening')
    others.say(Transcript.FINAL, 'what time is it')
    saw(others, 'thinking')


def test_a_question_is_asked_again_until_the_restarted_llm_takes_it(wired):
    rig, others = wired
    others.not_yet = 2
    asked(others)
    rig.bus.post(NodeLost('llm', 'killed by SIGKILL'))
    wait_for(lambda: others.spoken == ['Yes?', 'Sorry, one moment.'], 10.0, 'the apology')
    saw(others, 'recovering')
    rig.bus.post(NodeBack('llm'))
    wait_for(lambda: len(others.resumed) >= 3, 10.0, 'the third attempt')
    request = others.resumed[-1]
    assert (request.text, request.revision) == ('what time is it', 1)
    assert request.dialog_id == others.listens[0].dialog_id
    wait_for(lambda: any(stop.revision == 1 for stop in others.stops), 10.0, 'the old one is left')
    others.answer('It is noon.', revision=1)
    others.play(PlaybackEvent.STARTED, '', revision=1)
    saw(others, 'speaking')
    others.play(PlaybackEvent.FINISHED, 'It is noon.', revision=1)
    saw(others, 'follow_up')
    wait_for(lambda: others.reports, 10.0, 'the report')
    assert [report.outcome for report in others.reports] == ['answered']


def test_the_rest_of_a_reply_reaches_the_restarted_tts_in_order(wired):
    rig, others = wired
    others.not_yet = 1
    asked(others)
    others.answer('One. Two. ', is_last=False)
    wait_for(lambda: rig.manager._turn.reply, 10.0, 'its beginning has come')
    others.play(PlaybackEvent.STARTED, 'One.')
    saw(others, 'speaking')
    rig.bus.post(NodeLost('tts', 'killed by SIGKILL'))
    saw(others, 'recovering')
    others.answer('Three. ', is_last=False, sequence=1)
    rig.bus.post(NodeBack('tts'))
    wait_for(lambda: others.pieces, 10.0, 'the first piece')
    others.answer('Four.', sequence=2)
    wait_for(lambda: others.pieces[-1].is_last, 10.0, 'the last piece')
    taken = others.pieces[1:]
    assert ''.join(chunk.text for chunk in taken) == ' Two. Three. Four.'
    assert [chunk.sequence for chunk in taken] == list(range(len(taken)))
    assert {chunk.revision for chunk in taken} == {1}
    others.play(PlaybackEvent.STARTED, '', revision=1)
    others.play(PlaybackEvent.FINISHED, 'Two. Three. Four.', revision=1)
    wait_for(lambda: others.reports, 10.0, 'the report')
    assert others.reports[0].outcome == 'answered'


def test_a_wake_drops_what_is_being_handed_over(wired):
    rig, others = wired
    others.not_yet = 10_000
    asked(others)
    rig.bus.post(NodeLost('llm', 'killed by SIGKILL'))
    rig.bus.post(NodeBack('llm'))
    wait_for(lambda: others.resumed, 10.0, 'an attempt')
    others.wake()
    wait_for(lambda: len(others.listens) == 2, 10.0, 'listening again')
    wait_for(lambda: not rig.port._handover._tasks, 10.0, 'the attempts end')


def test_stt_that_refuses_is_apologised_for(wired):
    _, others = wired
    others.refuse_listening = True
    others.wake()
    wait_for(lambda: any('Sorry' in text for text in others.spoken), 10.0, 'the apology')


def test_a_broken_message_is_refused_and_the_node_goes_on(wired):
    _, others = wired
    others.transcripts.publish(Transcript(kind=77))
    others.wake()
    saw(others, 'acknowledging')


def test_a_live_setting_changes_the_rules(wired):
    rig, others = wired
    assert rig.node.set_parameters([Parameter('follow_up_ms', value=1500)])[0].successful
    assert rig.node.rules().follow_up_s == 1.5
    refused = rig.node.set_parameters([Parameter('follow_up_ms', value=-1)])[0]
    assert not refused.successful
