# SPDX-License-Identifier: Apache-2.0
"""The node: with the real engine on a real PortAudio, and with a fake engine for the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
import itertools
from pathlib import Path
import threading
import time
from typing import Any

from conftest import PrivatePulse, RATE, Recorder
import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from tts_fakes import FakeEngine

from va_common import qos
from va_common.action_client import SafeActionClient
from va_common.audio_io import level_dbfs
from va_common.audio_messages import from_chunk
from va_common.errors import ErrorCode
from va_common.ids import new_dialog_id
from va_common.model_catalogue import model_path
from va_common.ros_time import to_msg, to_seconds
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.action import Speak
from va_interfaces.msg import AudioChunk, PlaybackEvent, ReplyChunk, Wake
from va_interfaces.srv import Cancel, ContinueReply, Pause
from va_tts.node import TtsNode

SUCCESS = TransitionCallbackReturn.SUCCESS
CANCELED, ABORTED, SUCCEEDED = 5, 6, 4
NUMBERS = itertools.count()


class FakeEngineNode(TtsNode):
    """The node with an engine that speaks a tone."""

    def _load_engine(self, *_: Any) -> FakeEngine:
        self.engine = FakeEngine()
        return self.engine


class Robot:
    """A node under test and a program that uses it."""

    def __init__(self, node: TtsNode, client: Node) -> None:
        self.node = node
        self.client = client
        self.events: list[PlaybackEvent] = []
        self.reference: list[AudioChunk] = []
        self.speaker: list[AudioChunk] = []
        subscribe = client.create_subscription
        subscribe(PlaybackEvent, 'tts/playback', self.events.append, qos.EVENTS)
        subscribe(AudioChunk, 'tts/reference', self.reference.append, qos.AUDIO)
        subscribe(AudioChunk, 'audio/speaker', self.speaker.append, qos.AUDIO)
        self.reply = client.create_publisher(ReplyChunk, 'llm/chunk', qos.EVENTS)
        self.draft = client.create_publisher(ReplyChunk, 'llm/draft', qos.EVENTS)
        self.stream = client.create_publisher(ReplyChunk, 'tts/stream', qos.EVENTS)
        self.speak_client = SafeActionClient(client, Speak, 'tts/speak')
        self.wake = client.create_publisher(Wake, 'kwd/wake', qos.EVENTS)
        self.stop_client = client.create_client(Cancel, 'tts/stop')
        self.pause_client = client.create_client(Pause, 'tts/pause')
        self.continue_client = client.create_client(ContinueReply, 'tts/continue')
        self.feedback: list[PlaybackEvent] = []

    def ready(self) -> None:
        assert self.speak_client.wait_for_server(10.0)
        assert self.stop_client.wait_for_service(10.0)
        assert self.continue_client.wait_for_service(10.0)
        assert self.pause_client.wait_for_service(10.0)
        wait_for(lambda: self.reply.get_subscription_count(), 10.0, 'the reply is heard')
        wait_for(lambda: self.draft.get_subscription_count(), 10.0, 'the draft is heard')
        wait_for(lambda: self.stream.get_subscription_count(), 10.0, 'the stream is heard')
        wait_for(lambda: self.wake.get_subscription_count(), 10.0, 'the wake is heard')
        wait_for(lambda: self.client.count_publishers('tts/playback'), 10.0, 'events come')

    def send(self, text: str, **fields: Any) -> Any:
        future = self.speak_client.send_goal_async(
            Speak.Goal(text=text, **fields),
            feedback_callback=lambda message: self.feedback.append(message.feedback.event))
        wait_for(future.done, 5.0, 'the goal is answered')
        assert future.result().accepted
        return future.result()

    def result(self, handle: Any, timeout_s: float = 60.0) -> Any:
        future = handle.get_result_async()
        wait_for(future.done, timeout_s, 'the result is there')
        return future.result()

    def speak(self, text: str, **fields: Any) -> Any:
        return self.result(self.send(text, **fields))

    def stop(self, **fields: Any) -> Cancel.Response:
        future = self.stop_client.call_async(Cancel.Request(**fields))
        wait_for(future.done, 5.0, 'stop is answered')
        return future.result()

    def pause(self, what: int, **fields: Any) -> Pause.Response:
        future = self.pause_client.call_async(Pause.Request(what=what, **fields))
        wait_for(future.done, 5.0, 'pause is answered')
        return future.result()

    def pass_on(self, **fields: Any) -> ContinueReply.Response:
        request = ContinueReply.Request(chunk=ReplyChunk(**fields))
        future = self.continue_client.call_async(request)
        wait_for(future.done, 5.0, 'the piece is answered')
        return future.result()

    def has(self, kind: int) -> bool:
        return any(event.kind == kind for event in self.events)

    def kinds(self) -> list[int]:
        return [event.kind for event in self.events if event.kind != PlaybackEvent.PROGRESS]


@contextmanager
def robot_with(factory: type[TtsNode], folder: Path, **settings: Any) -> Iterator[Robot]:
    values = {'cache_dir': str(folder), **settings}
    # A namespace each: the node with the real engine lives beside the others.
    namespace = f'robot{next(NUMBERS)}'
    with ros_context() as context:
        node = factory(
            context=context, serve_health=False, namespace=namespace,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])
        client = Node('program', context=context, namespace=namespace)
        robot = Robot(node, client)
        with spin(node, client):
            yield robot
            node.close()
            client.destroy_node()


@pytest.fixture
def fake(pulse: PrivatePulse, recorder: Recorder, tmp_path: Path) -> Iterator[Robot]:
    with robot_with(FakeEngineNode, tmp_path) as robot:
        assert robot.node.trigger_configure() == SUCCESS
        assert robot.node.trigger_activate() == SUCCESS
        robot.ready()
        yield robot


@pytest.fixture(scope='module')
def voice(pulse: PrivatePulse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robot]:
    """The real thing."""
    settings = {'prepared_phrases': ['Hi, Master!']}
    with robot_with(TtsNode, tmp_path_factory.mktemp('cache'), **settings) as robot:
        assert robot.node.trigger_configure() == SUCCESS
        assert robot.node.trigger_activate() == SUCCESS
        robot.ready()
        yield robot


@pytest.fixture(scope='module')
def whisper() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(model_path('whisper-tiny.en')), device='cpu', compute_type='int8', cpu_threads=2)


def transcribe(whisper: Any, recorder: Recorder) -> str:
    import soxr

    sound = recorder.sound().astype(np.float32) / 32768
    segments, _ = whisper.transcribe(soxr.resample(sound, RATE, 16_000), language='en')
    return ''.join(segment.text for segment in segments).lower()


# The real engine


def test_greeting_is_heard_and_understood(voice: Robot, recorder: Recorder, whisper: Any) -> None:
    voice.events.clear()
    voice.reference.clear()
    recorder.clear()
    answer = voice.speak('Hi, Master!')
    assert answer.status == SUCCEEDED
    assert (answer.result.error_code, answer.result.heard) == (0, 'Hi, Master!')
    assert 0.6 < answer.result.duration_s < 1.5
    wait_for(lambda: voice.has(PlaybackEvent.FINISHED), 5.0, 'FINISHED')
    wait_for(lambda: time.time() > recorder.loud_times()[-1] + 0.3, 5.0, 'the end is recorded')
    started = next(event for event in voice.events if event.kind == PlaybackEvent.STARTED)
    # A block is recorded when it was read: on a busy machine late, never early.
    assert -0.15 < recorder.loud_times(100)[0] - to_seconds(started.header.stamp) - 0.04 < 0.5
    sound = recorder.sound().astype(np.int32)
    assert -32 < level_dbfs(sound[np.abs(sound) > 100].astype(np.int16)) < -10
    assert np.abs(sound).max() < 32_000, 'clipped'
    text = transcribe(whisper, recorder)
    assert 'hi' in text and 'master' in text
    assert len(voice.reference) > 5


def test_reply_streams_and_is_understood(voice: Robot, recorder: Recorder, whisper: Any) -> None:
    voice.events.clear()
    recorder.clear()
    dialog_id = new_dialog_id(time.time(), 'abcd')
    sentence = 'The capital of France is Paris, which lies on the river Seine.'
    words = sentence.split()
    for number, word in enumerate(words):
        voice.reply.publish(ReplyChunk(
            dialog_id=dialog_id, turn=1, sequence=number, text=f'{word} ',
            is_last=number == len(words) - 1))
    wait_for(lambda: voice.has(PlaybackEvent.FINISHED), 90.0, 'FINISHED')
    finished = voice.events[-1]
    assert finished.utterance_id == f'{dialog_id}/1'
    assert finished.source == PlaybackEvent.SOURCE_REPLY
    assert finished.text == sentence
    wait_for(lambda: time.time() > recorder.loud_times()[-1] + 0.3, 5.0, 'the end is recorded')
    text = transcribe(whisper, recorder)
    assert 'capital' in text and 'paris' in text and 'river' in text


def test_stop_while_it_speaks(voice: Robot, recorder: Recorder) -> None:
    voice.events.clear()
    handle = voice.send('This sentence goes on for a while, over hill and dale, '
                        'until somebody has heard enough of it and stops it.')
    wait_for(recorder.loud_times, 20.0, 'it is heard')
    asked_s = time.time()
    answer = voice.stop(reason='test')
    assert (answer.error_code, answer.error_msg) == (0, '')
    result = voice.result(handle)
    assert result.status == ABORTED
    assert result.result.error_code == ErrorCode.CANCELLED
    assert result.result.heard == answer.heard
    wait_for(lambda: time.time() > asked_s + 2.0, 5.0, 'silence')
    # 49 ms measured on an idle machine; unstopped it would go on for 5 s.
    assert recorder.loud_times()[-1] - asked_s < 1.5


def test_the_wake_word_silences_a_program(fake: Robot) -> None:
    handle = fake.send(' '.join(['word'] * 50))
    wait_for(lambda: fake.has(PlaybackEvent.STARTED), 10.0, 'it is heard')
    for age_s in (60.0, 0.0):
        wake = Wake()
        wake.header.stamp = to_msg(time.time() - age_s)
        assert not fake.has(PlaybackEvent.INTERRUPTED)
        fake.wake.publish(wake)
    result = fake.result(handle)
    assert (result.status, result.result.error_code) == (ABORTED, ErrorCode.CANCELLED)
    assert result.result.error_msg == 'stopped: wake word'


def test_held_and_let_go_on(fake: Robot, recorder: Recorder) -> None:
    hold, go_on = Pause.Request.HOLD, Pause.Request.GO_ON
    assert fake.pause(hold).error_code == ErrorCode.OUTDATED, 'nothing is being spoken'
    fake.events.clear()
    handle = fake.send(' '.join(['word'] * 30) + '.')
    wait_for(lambda: fake.has(PlaybackEvent.STARTED), 10.0, 'it is heard')
    assert fake.pause(7).error_code == ErrorCode.INVALID_ARGUMENT
    assert fake.pause(Pause.Request.DUCK).error_code == 0
    assert fake.pause(hold, at_most_ms=60_000).error_code == 0
    wait_for(lambda: fake.has(PlaybackEvent.PAUSED), 10.0, 'it is silent')
    assert fake.pause(go_on).error_code == 0
    assert fake.result(handle).result.error_code == 0
    wait_for(lambda: fake.has(PlaybackEvent.FINISHED), 10.0, 'its end is told')
    told = [kind for kind in fake.kinds() if kind != PlaybackEvent.UNDERRUN]  # a loaded machine
    assert told == [PlaybackEvent.STARTED, PlaybackEvent.PAUSED, PlaybackEvent.RESUMED,
                    PlaybackEvent.FINISHED]


def test_voice_changes_live(voice: Robot) -> None:
    set_voice = voice.node.set_parameters
    assert not set_voice([Parameter('voice', value='nobody')])[0].successful
    assert set_voice([Parameter('voice', value='am_adam')])[0].successful
    phrases = voice.node._phrases
    assert phrases is not None
    wait_for(lambda: phrases.get('Hi, Master!', 'am_adam', 1.0) is not None, 60.0,
             'the phrase is prepared in the new voice')
    assert set_voice([Parameter('voice', value='af_heart')])[0].successful
    wait_for(lambda: phrases.get('Hi, Master!', 'af_heart', 1.0) is not None, 5.0, 'from disk')


# A fake engine


def test_feedback_tells_the_events_of_the_goal(fake: Robot) -> None:
    handle = fake.send(' '.join(['word'] * 15) + '.')
    wait_for(lambda: fake.feedback and fake.feedback[-1].kind == PlaybackEvent.FINISHED, 60.0,
             'FINISHED as feedback')  # rclpy gives none after the result
    assert fake.result(handle).status == SUCCEEDED
    kinds = [event.kind for event in fake.feedback]
    assert kinds[0] == PlaybackEvent.STARTED and PlaybackEvent.PROGRESS in kinds
    assert len({event.utterance_id for event in fake.feedback}) == 1


def test_cancelled_goal(fake: Robot) -> None:
    handle = fake.send(' '.join(['word'] * 50))
    wait_for(lambda: fake.has(PlaybackEvent.STARTED), 5.0, 'STARTED')
    cancelling = handle.cancel_goal_async()
    wait_for(cancelling.done, 5.0, 'the cancellation is answered')
    answer = fake.result(handle)
    assert answer.status == CANCELED
    assert answer.result.error_code == ErrorCode.CANCELLED
    wait_for(lambda: fake.has(PlaybackEvent.INTERRUPTED), 5.0, 'INTERRUPTED')


def test_waiting_goal_is_cancelled(fake: Robot) -> None:
    first = fake.send(' '.join(['word'] * 30))
    second = fake.send('second')
    wait_for(second.cancel_goal_async().done, 5.0, 'the cancellation is answered')
    assert fake.result(second).status == CANCELED
    assert fake.stop().error_code == 0
    assert fake.result(first).status == ABORTED


def test_a_goal_that_is_cancelled_before_it_is_queued_is_not_heard(
        fake: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    api, answered = fake.node._speak_api, threading.Event()
    make = api._request

    def late(*arguments: Any) -> Any:
        assert answered.wait(20.0)
        return make(*arguments)

    monkeypatch.setattr(api, '_request', late)
    handle = fake.send('word')
    wait_for(handle.cancel_goal_async().done, 10.0, 'the cancellation is answered')
    answered.set()
    answer = fake.result(handle)
    assert (answer.status, answer.result.heard) == (CANCELED, '')


def test_interrupting_goal(fake: Robot) -> None:
    first = fake.send(' '.join(['word'] * 50))
    wait_for(lambda: fake.has(PlaybackEvent.STARTED), 5.0, 'STARTED')
    assert fake.speak('Now!', interrupt=True).status == SUCCEEDED
    assert fake.result(first).result.error_code == ErrorCode.CANCELLED


def test_many_goals_wait_without_blocking_the_node(fake: Robot) -> None:
    handles = [fake.send('one two') for _ in range(8)]
    assert fake.node.get_parameter('volume').value == 1.0
    assert [fake.result(handle).status for handle in handles] == [SUCCEEDED] * 8


@pytest.mark.parametrize('goal, code', [
    ({'text': ''}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'x' * 20_001}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'Hi', 'voice': 'nobody'}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'Hi', 'speed': 9.0}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'Hi', 'speed': float('nan')}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'Hi', 'speed': -1.0}, ErrorCode.INVALID_ARGUMENT),
    ({'text': 'Hi', 'dialog_id': 'x' * 1000}, ErrorCode.INVALID_ARGUMENT),
])
def test_bad_goals_are_refused_with_a_reason(fake: Robot, goal: dict[str, Any],
                                             code: ErrorCode) -> None:
    answer = fake.speak(**goal)
    assert answer.status == ABORTED
    assert answer.result.error_code == code
    assert 'expected' in answer.result.error_msg
    assert fake.speak('Still here.').status == SUCCEEDED


def test_the_rest_of_a_reply_by_calls(fake: Robot) -> None:
    dialog_id = new_dialog_id(time.time(), 'abcd')
    pieces = ('Here is ', 'the rest', ' of it.')
    for number, text in enumerate(pieces):
        answer = fake.pass_on(dialog_id=dialog_id, turn=2, revision=1, sequence=number, text=text,
                              is_last=number == 2)
        assert (answer.error_code, answer.error_msg) == (0, '')
    assert fake.pass_on(dialog_id=dialog_id, turn=2, revision=1, sequence=1, text='the rest') \
        .error_code == ErrorCode.OUTDATED
    wait_for(lambda: fake.has(PlaybackEvent.FINISHED), 15.0, 'FINISHED')
    finished = next(e for e in fake.events if e.kind == PlaybackEvent.FINISHED)
    assert (finished.source, finished.revision) == (PlaybackEvent.SOURCE_REPLY, 1)
    assert finished.text == 'Here is the rest of it.'


def test_a_draft_is_heard_when_it_becomes_the_reply(fake: Robot, recorder: Recorder) -> None:
    dialog_id = new_dialog_id(time.time(), 'abcd')
    wrong = ReplyChunk(dialog_id=dialog_id, turn=1, text='It is not so.', is_last=True)
    right = ReplyChunk(dialog_id=dialog_id, turn=1, revision=1, text='It is so.', is_last=True)
    for chunk in (wrong, right):
        fake.draft.publish(chunk)
    engine = fake.node.engine  # type: ignore[attr-defined]
    wait_for(lambda: any(text == 'It is so.' for text, _, _ in engine.spoken), 10.0, 'it is made')
    assert not fake.events
    made = len(engine.spoken)
    fake.reply.publish(right)
    wait_for(lambda: fake.has(PlaybackEvent.FINISHED), 15.0, 'FINISHED')
    assert {event.revision for event in fake.events} == {1}
    assert len(engine.spoken) == made


def test_bad_chunks_change_nothing(fake: Robot) -> None:
    for chunk in (
        ReplyChunk(dialog_id='x' * 1000, text='long id', is_last=True),
        ReplyChunk(dialog_id='x', sequence=7, text='no beginning', is_last=True),
        ReplyChunk(dialog_id='x', text='y' * 100_000, is_last=True),
        ReplyChunk(is_last=True, error_code=12_345, error_msg='unknown'),
    ):
        fake.stream.publish(chunk)
        fake.reply.publish(chunk)
        fake.draft.publish(chunk)
    fake.stream.publish(ReplyChunk(dialog_id='mine', turn=3, text='Hello there.', is_last=True))
    wait_for(lambda: any(
        event.utterance_id == 'mine/3' and event.kind == PlaybackEvent.FINISHED
        for event in fake.events), 10.0, 'the good one is spoken')
    assert fake.node.problem() is None


def test_control_characters_are_no_reason_to_fail(fake: Robot) -> None:
    assert fake.speak('a\x00b\x1b[2J c\u202e d').status == SUCCEEDED


def loud_s(recorder: Recorder) -> float:
    return float((np.abs(recorder.sound().astype(np.int32)) > 200).sum()) / RATE


def test_volume_changes_live(fake: Robot, recorder: Recorder) -> None:
    fake.node.set_parameters([Parameter('volume', value=0.0)])
    recorder.clear()
    assert fake.speak('word word word').status == SUCCEEDED
    # The sink of a busy machine may still give out some milliseconds of an earlier sound.
    assert loud_s(recorder) < 0.1
    fake.node.set_parameters([Parameter('volume', value=1.0)])
    fake.node.set_parameters([Parameter('ducking_db', value=20.0)])
    recorder.clear()
    assert fake.speak('word word word').status == SUCCEEDED
    wait_for(lambda: loud_s(recorder) > 0.2, 5.0, 'it is heard')
    assert np.abs(recorder.sound().astype(np.int32)).max() < 2000


def test_inactive_node_says_so(fake: Robot) -> None:
    fake.node.trigger_deactivate()
    assert fake.speak('Hi').result.error_code == ErrorCode.NOT_ACTIVE
    assert fake.stop().error_code == ErrorCode.NOT_ACTIVE
    assert fake.node.trigger_activate() == SUCCESS
    assert fake.speak('Hi').status == SUCCEEDED


def test_deactivate_interrupts(fake: Robot) -> None:
    handle = fake.send(' '.join(['word'] * 50))
    wait_for(lambda: fake.has(PlaybackEvent.STARTED), 5.0, 'STARTED')
    fake.node.trigger_deactivate()
    assert fake.result(handle).result.error_code == ErrorCode.CANCELLED
    wait_for(lambda: fake.has(PlaybackEvent.INTERRUPTED), 5.0, 'INTERRUPTED')


def test_health_and_diagnostics(fake: Robot) -> None:
    assert fake.node.health_problem() is None
    assert fake.node.diagnostics()['output device']
    fake.node._out.stop()  # type: ignore[union-attr]
    assert 'not running' in (fake.node.health_problem() or '')


def test_configure_and_cleanup_ten_times(pulse: PrivatePulse, tmp_path: Path) -> None:
    with robot_with(FakeEngineNode, tmp_path, prepared_phrases=['Yes?']) as robot:
        for _ in range(10):
            assert robot.node.trigger_configure() == SUCCESS
            engine = robot.node.engine  # type: ignore[attr-defined]
            assert robot.node.trigger_activate() == SUCCESS
            assert robot.node.trigger_deactivate() == SUCCESS
            assert robot.node.trigger_cleanup() == SUCCESS
            assert engine.closed


@pytest.mark.parametrize('settings, reason', [
    ({'audio.output_device': 'no such'}, 'no such'),
    ({'voice': 'nobody'}, 'nobody'),
    ({'engine': 'torch'}, 'kokoro-torch'),
])
def test_configure_fails_with_a_reason_and_can_be_tried_again(
        pulse: PrivatePulse, tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    with robot_with(FakeEngineNode, tmp_path, **settings) as robot:
        assert robot.node.trigger_configure() != SUCCESS
        assert reason in (robot.node.problem() or '')
        good = {'audio.output_device': '', 'voice': 'af_heart', 'engine': 'auto'}
        robot.node.set_parameters([Parameter(key, value=good[key]) for key in settings])
        assert robot.node.trigger_configure() == SUCCESS


def test_topic_sink(tmp_path: Path) -> None:
    with robot_with(FakeEngineNode, tmp_path, **{
            'audio.audio_sink': 'topic', 'audio.output_rate': 24_000}) as robot:
        assert robot.node.trigger_configure() == SUCCESS
        assert robot.node.trigger_activate() == SUCCESS
        robot.ready()
        wait_for(lambda: robot.client.count_publishers('audio/speaker'), 5.0, 'the topic')
        assert robot.speak(' '.join(['word'] * 10)).status == SUCCEEDED
        wait_for(lambda: len(robot.speaker) >= 13, 5.0, 'all chunks')
        sound = np.concatenate([from_chunk(chunk) for chunk in robot.speaker])
        assert np.flatnonzero(sound).size / 24_000 == pytest.approx(1.0, abs=0.1)
        assert [chunk.sequence for chunk in robot.speaker] == list(range(len(robot.speaker)))
        assert robot.speaker[0].sample_rate == 24_000
        assert robot.reference
