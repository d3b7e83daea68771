# SPDX-License-Identifier: Apache-2.0
"""The node over real topics, with real engines where they matter."""

from __future__ import annotations

import ast
from pathlib import Path
import threading
import time

import numpy as np
import pytest
from rclpy.action.client import ActionClient
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from stt_bench import join

from va_common import lifecycle, qos
from va_common.audio_io import float_to_int16
from va_common.audio_messages import from_chunk, to_chunk
from va_common.errors import ErrorCode
from va_common.ros_time import to_msg
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.action import Listen
from va_interfaces.msg import AudioChunk, PlaybackEvent, Transcript
from va_interfaces.srv import StartListening, StopListening
import va_stt
from va_stt.node import SttNode
from va_stt.whisper_cuda import Transcription

SUCCESS = TransitionCallbackReturn.SUCCESS
PACKAGE = Path(va_stt.__file__).parent
DIALOG = 'd20261122T102233.123456-1a2b'
CHUNK = 1280


class FakeRecogniser:
    def transcribe(self, samples: np.ndarray, quick: bool = False) -> Transcription:
        return Transcription('Hello there.', 'en', -0.1, 0.0, 1.0)


def fake_recogniser(setting, profile):
    return FakeRecogniser()


def make_node(context, source='topic', **options) -> SttNode:
    return SttNode(context=context, serve_health=False, parameter_overrides=[
        Parameter('system.profile', value='cpu'), Parameter('model_cpu', value='tiny.en'),
        Parameter('audio.audio_source', value=source), Parameter('silence_ms', value=600),
    ], **options)


class Robot:
    """A program of a robot: publishes a microphone in real time, hears what stt says."""

    def __init__(self, context) -> None:
        self.node = Node('robot', context=context)
        self.transcripts: list[Transcript] = []
        self.chunks: list[AudioChunk] = []
        self.node.create_subscription(
            Transcript, 'stt/transcript', self.transcripts.append, qos.EVENTS)
        self.node.create_subscription(AudioChunk, 'stt/audio', self.chunks.append, qos.AUDIO)
        self.microphone = self.node.create_publisher(AudioChunk, 'audio/microphone', qos.AUDIO)
        self.start = self.node.create_client(StartListening, 'stt/start')
        self.stop = self.node.create_client(StopListening, 'stt/stop')
        self.sequence = 0

    def play(self, sound: np.ndarray) -> float:
        """Publish in real time; returns when the first sample was 'captured'."""
        samples, begun_s = float_to_int16(sound), time.time()
        pause = threading.Event()
        for first in range(0, len(samples) - CHUNK + 1, CHUNK):
            start_s = begun_s + first / 16000
            pause.wait(max(0.0, start_s + 0.08 - time.time()))
            self.microphone.publish(
                to_chunk(samples[first:first + CHUNK], self.sequence, start_s, 16000))
            self.sequence += 1
        return begun_s

    def ask(self, client, **fields):
        assert client.wait_for_service(10.0)
        done = client.call_async(client.srv_type.Request(**fields))
        return wait_for(lambda: done.done() and done.result(), 10.0, 'an answer')

    def final(self, turn: int) -> Transcript:
        return wait_for(lambda: next((t for t in self.transcripts if t.turn == turn
                                      and t.kind == Transcript.FINAL), None), 20.0, 'FINAL')


@pytest.fixture
def context():
    with ros_context() as made:
        yield made


def test_a_question_over_topics_with_the_real_engines(context, say):
    node = make_node(context)
    robot = Robot(context)
    with spin(node, robot.node):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        wait_for(lambda: robot.microphone.get_subscription_count(), 10, 'discovery')
        wait_for(lambda: node.count_subscribers('stt/transcript'), 10, 'discovery')
        assert node.problem() == 'no sound from the microphone yet'
        robot.play(join(0.4))
        wait_for(lambda: node.problem() is None, 5, 'serving')
        assert robot.ask(robot.start, dialog_id=DIALOG, turn=1).error_code == 0
        robot.play(join(0.5, say('What time is it?'), 1.5))
        final = robot.final(1)
        node.trigger_deactivate()
        node.trigger_cleanup()
    kinds = [t.kind for t in robot.transcripts]  # PARTIAL too, unless the machine is busy
    assert (kinds[0], kinds[-1]) == (Transcript.STARTED, Transcript.FINAL)
    assert (final.outcome, final.text) == (Transcript.OUTCOME_SPEECH, 'What time is it?')
    assert final.endpoint_reason == 'silence'
    assert 0.8 < final.confidence <= 1.0
    assert robot.chunks and all(len(from_chunk(c)) == 1280 for c in robot.chunks)
    sequences = [c.sequence for c in robot.chunks]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    node.close()
    robot.node.destroy_node()


def test_services_and_action(context, say):
    node = make_node(context, transcriber=fake_recogniser)
    robot = Robot(context)
    listen = ActionClient(robot.node, Listen, 'stt/listen')
    with spin(node, robot.node):
        refused = robot.ask(robot.start, dialog_id=DIALOG, turn=1)
        assert refused.error_code == ErrorCode.NOT_ACTIVE
        node.trigger_configure()
        node.trigger_activate()
        wait_for(lambda: node.count_subscribers('stt/transcript'), 10, 'discovery')
        wait_for(lambda: robot.microphone.get_subscription_count(), 10, 'discovery')
        assert robot.ask(robot.start, dialog_id='', turn=1).error_code == \
            ErrorCode.INVALID_ARGUMENT
        assert robot.ask(robot.start, dialog_id=DIALOG, turn=2).error_code == 0
        assert robot.ask(robot.start, dialog_id=DIALOG, turn=1).error_code == ErrorCode.OUTDATED
        assert robot.ask(robot.start, dialog_id=DIALOG, turn=3).error_code == 0
        assert robot.final(2).outcome == Transcript.OUTCOME_STOPPED
        assert robot.ask(robot.stop, dialog_id=DIALOG, turn=1).error_code == ErrorCode.OUTDATED
        assert robot.ask(robot.stop, dialog_id='', turn=0).error_code == 0
        assert robot.final(3).outcome == Transcript.OUTCOME_STOPPED

        feedback: list[Transcript] = []
        assert listen.wait_for_server(10)
        goal = listen.send_goal_async(
            Listen.Goal(), feedback_callback=lambda m: feedback.append(m.feedback.transcript))
        handle = wait_for(lambda: goal.done() and goal.result(), 10, 'acceptance')
        wait_for(lambda: node._listening.current is not None, 10, 'listening')
        robot.play(join(0.3, say('What time is it?'), 1.2))
        wait_for(lambda: feedback, 10, 'feedback')  # rclpy gives none after the result
        result = handle.get_result_async()
        answer = wait_for(lambda: result.done() and result.result(), 20, 'the result').result
        assert (answer.text, answer.error_code) == ('Hello there.', 0)
        assert feedback[0].kind == Transcript.STARTED

        goal = listen.send_goal_async(Listen.Goal())
        handle = wait_for(lambda: goal.done() and goal.result(), 10, 'acceptance')
        result = handle.get_result_async()
        handle.cancel_goal_async()
        answer = wait_for(lambda: result.done() and result.result(), 10, 'the result').result
        assert answer.error_code == ErrorCode.CANCELLED
    node.close()
    robot.node.destroy_node()


def test_wrong_messages_are_refused_and_the_node_lives(context):
    node = make_node(context, transcriber=fake_recogniser)
    robot = Robot(context)
    reference = robot.node.create_publisher(AudioChunk, 'tts/reference', qos.AUDIO)
    with spin(node, robot.node):
        node.trigger_configure()
        node.trigger_activate()
        wait_for(lambda: robot.microphone.get_subscription_count()
                 and reference.get_subscription_count(), 10, 'discovery')
        for publisher in (robot.microphone, reference):
            for bad in (AudioChunk(), AudioChunk(sample_rate=16000, channels=1),
                        AudioChunk(sample_rate=16000, channels=9, data=[0] * 9),
                        AudioChunk(sample_rate=16000, channels=1, data=[0] * 20000),
                        AudioChunk(sample_rate=4_000_000_000, channels=1, data=[0])):
                publisher.publish(bad)
            publisher.publish(to_chunk(np.zeros(10, np.int16), 0, time.time() - 1e6, 16000))
        reference.publish(to_chunk(np.zeros(10, np.int16), 0, time.time(), 48000))
        robot.play(join(0.4))
        wait_for(lambda: node.problem() is None, 5, 'serving')
    node.close()
    robot.node.destroy_node()


def test_it_says_that_it_serves_with_the_first_sound(context, monkeypatch):
    monkeypatch.setattr(lifecycle, 'HEALTH_PERIOD_S', 3600.0)
    node = make_node(context, transcriber=fake_recogniser)
    robot = Robot(context)
    with spin(node, robot.node):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        wait_for(lambda: robot.microphone.get_subscription_count(), 10, 'discovery')
        assert node._problem == 'no sound from the microphone yet'
        robot.play(join(0.4))
        wait_for(lambda: node._problem is None, 10, 'serving')
    node.close()
    robot.node.destroy_node()


def test_speech_that_no_reference_comes_of_is_told(context):
    node, robot = make_node(context, transcriber=fake_recogniser), Robot(context)
    playback = robot.node.create_publisher(PlaybackEvent, 'tts/playback', qos.EVENTS)
    reference = robot.node.create_publisher(AudioChunk, 'tts/reference', qos.AUDIO)

    def speak(chunks):
        playback.publish(PlaybackEvent(kind=PlaybackEvent.STARTED))
        wait_for(lambda: node._pipeline.echo._chunks_before is not None, 10, 'it has begun')
        for number in range(chunks):
            reference.publish(to_chunk(np.ones(CHUNK, np.int16), number, time.time(), 16000))
        wait_for(lambda: node._far_end.chunks == chunks, 10, 'the reference')
        playback.publish(PlaybackEvent(kind=PlaybackEvent.FINISHED, position_s=2.0))

    with spin(node, robot.node):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        wait_for(lambda: playback.get_subscription_count() and reference.get_subscription_count(),
                 10, 'discovery')
        speak(chunks=0)
        (warning,) = wait_for(node.warnings, 10, 'a warning')
        assert 'does not come on tts/reference' in warning
        speak(chunks=3)
        wait_for(lambda: not node.warnings(), 10, 'it is well again')
        node.trigger_deactivate()
        node.trigger_cleanup()
        assert node.warnings() == []
    node.close()
    robot.node.destroy_node()


def test_deactivate_ends_the_turn(context):
    node = make_node(context, transcriber=fake_recogniser)
    robot = Robot(context)
    with spin(node, robot.node):
        node.trigger_configure()
        node.trigger_activate()
        wait_for(lambda: node.count_subscribers('stt/transcript'), 10, 'discovery')
        robot.ask(robot.start, dialog_id=DIALOG, turn=1, listen_from=to_msg(time.time()))
        node.trigger_deactivate()
        assert robot.final(1).outcome == Transcript.OUTCOME_STOPPED
    node.close()
    robot.node.destroy_node()


def test_configure_cleanup_ten_times(context):
    node = make_node(context, transcriber=fake_recogniser)
    with spin(node):
        for _ in range(10):
            assert node.trigger_configure() == SUCCESS
            assert node.trigger_activate() == SUCCESS
            assert node.trigger_deactivate() == SUCCESS
            assert node.trigger_cleanup() == SUCCESS
        assert [t.name for t in threading.enumerate() if t.name.startswith('stt')] == []
    node.close()


def test_missing_microphone_fails_configure_and_a_later_one_works(context, pulse):
    node = make_node(context, 'device', transcriber=fake_recogniser)
    with spin(node):
        node.set_parameters([Parameter('audio.input_device', value='no such thing')])
        assert node.trigger_configure() != SUCCESS
        assert 'no such thing' in node.problem()
        node.set_parameters([Parameter('audio.input_device', value='')])
        assert node.trigger_configure() == SUCCESS
        begun = time.monotonic()
        assert node.trigger_activate() == SUCCESS
        print(f'activate took {(time.monotonic() - begun) * 1000:.0f} ms')
        wait_for(lambda: node.problem() is None, 15, 'sound from the device')
        pulse.end()
        wait_for(lambda: node.problem() is not None, 15, 'the loss is noticed')
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
    node.close()


def test_missing_model_fails_configure_with_the_reason(context, tmp_path):
    node = make_node(context)
    with spin(node):
        node.set_parameters([Parameter('system.models_dir', value=str(tmp_path))])
        assert node.trigger_configure() != SUCCESS
        assert str(tmp_path) in node.problem()
    node.close()


ROS_MODULES = {'node.py', 'main.py', 'results_api.py', 'control_api.py'}


@pytest.mark.parametrize('path', sorted(PACKAGE.glob('*.py')), ids=lambda p: p.name)
def test_plain_logic_imports_no_ros(path):
    if path.name in ROS_MODULES:
        return
    for item in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in item.names] if isinstance(item, ast.Import) else \
            [item.module or ''] if isinstance(item, ast.ImportFrom) else []
        for name in names:
            assert not name.startswith(('rclpy', 'va_interfaces', 'std_msgs')), name
            assert name not in ('va_common.lifecycle', 'va_common.audio_messages'), name
