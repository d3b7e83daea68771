# SPDX-License-Identifier: Apache-2.0
"""The node: lifecycle, sound in and wakes out over ROS, live settings, health."""

import array
from pathlib import Path
import random
import sys
import threading

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import lifecycle, qos
from va_common.audio_messages import to_chunk
from va_common.ros_time import to_seconds
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.msg import AudioChunk, Wake
from va_kwd.node import KwdNode

sys.path.insert(0, str(Path(__file__).parent))
from kwd_speech import chunks, FakeScorer, in_a_room, RATE, speak

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
SILENCE = np.zeros(1280, np.int16)
PART = 20 * 1280
"""Samples that may be sent at once: the queue of the scorer is bounded."""


class NodeWithFakeScorer(KwdNode):
    """The node with scores that the test writes."""

    warm_up_frames = 0

    def __init__(self, **kwargs):
        self.fake = FakeScorer()
        super().__init__(random.Random(1), **kwargs)

    def make_engine(self, words):
        return self.fake


class Robot(Node):
    """What is around the node: stt and loader."""

    def __init__(self, context):
        super().__init__('robot', context=context)
        self.audio = self.create_publisher(AudioChunk, 'stt/audio', qos.AUDIO)
        self.wakes = []
        self.create_subscription(Wake, 'kwd/wake', self.wakes.append, qos.EVENTS)
        self.sequence = 0

    def send(self, sound=SILENCE, start_s=1000.0):
        """Publish a sound, as one stream with what was sent before."""
        for samples, _, at_s in chunks(sound, start_s):
            self.audio.publish(to_chunk(samples, self.sequence, at_s, RATE))
            self.sequence += 1


@pytest.fixture
def context():
    with ros_context() as context:
        yield context


@pytest.fixture
def make_node(context):
    nodes = []

    def make(factory=NodeWithFakeScorer, **settings):
        overrides = [Parameter(name, value=value) for name, value in settings.items()]
        nodes.append(factory(context=context, serve_health=False, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def run(context):
    """Activate a node and put a robot around it."""
    robots = []

    def start(node):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        robot = Robot(context)
        spinning = spin(node, robot)
        spinning.__enter__()
        robots.append((robot, spinning))
        wait_for(lambda: robot.audio.get_subscription_count()
                 and robot.count_publishers('kwd/wake'), 15, 'discovery')
        return robot

    yield start
    for robot, spinning in robots:
        spinning.__exit__(None, None, None)
        robot.destroy_node()


def frames(node, count):
    wait_for(lambda: node.fake.frames >= count, 10, f'{count} frames')


def test_configure_and_cleanup_ten_times_with_the_real_models(make_node):
    node = make_node(KwdNode)
    for _ in range(10):
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.problem() == 'it has not heard the first half second yet'
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
    assert node._entities == []


def test_it_says_that_it_serves_with_the_frame_that_was_missing(
        make_node, run, monkeypatch):
    monkeypatch.setattr(lifecycle, 'HEALTH_PERIOD_S', 3600.0)
    node = make_node(NodeWithFakeScorer)
    node.warm_up_frames = 3
    robot = run(node)
    robot.send()
    frames(node, 1)
    assert node._problem == 'it has not heard the first half second yet'
    for _ in range(2):
        robot.send()
    wait_for(lambda: node._problem is None, 10, 'serving')


@pytest.mark.parametrize('settings', [
    {'wake_words': ['computer']}, {'wake_words': ['/none/x.onnx']},
    {'wake_words': ['hey_jarvis:7']}])
def test_a_setting_that_cannot_work_fails_configure_and_can_be_mended(make_node, settings):
    node = make_node(KwdNode, **settings)
    assert node.trigger_configure() == FAILURE
    node.set_parameters([Parameter('wake_words', value=['hey_jarvis'])])
    assert node.trigger_configure() == SUCCESS


def test_a_spoken_wake_word_wakes_with_the_real_models(make_node, run):
    node = make_node(KwdNode)
    robot = run(node)
    phrase = speak('Hey Jarvis!')
    sound, before = in_a_room(phrase, 2.0, 1.0), node._frames
    for first in range(0, sound.size, PART):
        robot.send(sound[first:first + PART], start_s=2000.0 + first / RATE)
        wait_for(lambda sent=robot.sequence: node._frames - before >= sent, 20, 'scores')
    (wake,) = wait_for(lambda: robot.wakes, 20, 'the wake')
    assert (wake.source, wake.model, wake.phrase) == (
        Wake.SOURCE_WAKE_WORD, 'hey_jarvis', 'hey jarvis')
    assert wake.acknowledgement in ('Yes?', 'Yes, Master?', 'Sup?', 'Yo')
    assert 0.6 <= wake.score <= 1.0
    assert to_seconds(wake.word_end) == pytest.approx(2002.0 + phrase.size / RATE, abs=0.15)


def test_one_wake_per_cooldown(make_node, run):
    node = make_node()
    robot = run(node)
    node.fake.script = [0.9, 0.0, 0.9] + [0.0] * 20 + [0.9]
    robot.send(np.zeros(1280 * 24, np.int16))
    frames(node, 24)
    wait_for(lambda: len(robot.wakes) == 2, 10, 'two wakes')


def test_threshold_cooldown_and_phrases_change_live(make_node, run):
    node = make_node()
    robot = run(node)
    results = node.set_parameters([
        Parameter('confidence_threshold', value=0.3), Parameter('cooldown_ms', value=0),
        Parameter('yes_phrases', value=['At your service'])])
    assert all(result.successful for result in results)
    node.fake.script = [0.4, 0.0, 0.0, 0.0, 0.4]
    robot.send(np.zeros(1280 * 5, np.int16))
    wait_for(lambda: len(robot.wakes) == 2, 10, 'two wakes')
    assert robot.wakes[0].acknowledgement == 'At your service'
    assert not node.set_parameters([Parameter('confidence_threshold', value=1.5)])[0].successful


def test_the_sound_around_a_wake_is_kept_when_that_is_set_live(make_node, run, tmp_path):
    node = make_node(wake_clips_dir=str(tmp_path / 'wakes'))
    robot = run(node)
    node.fake.script = [0.0, 0.9]
    robot.send(np.full(1280 * 16, 5, np.int16))
    frames(node, 16)
    assert node.set_parameters([Parameter('wake_clips', value=2)])[0].successful
    node.fake.script = [0.0] * 25 + [0.9]
    for part in range(2):
        robot.send(np.full(1280 * 20, 7, np.int16), start_s=1000 + (1016 + 20 * part) * 0.08)
        frames(node, 36 + 20 * part)
    (clip,) = wait_for(lambda: list(tmp_path.glob('wakes/wake_*.wav')), 20, 'the clip')
    assert clip.name.endswith('_hey_jarvis_0.90.wav')
    assert clip.stat().st_mode & 0o777 == 0o600
    assert clip.stat().st_size == pytest.approx(3 * 32000, abs=5000)


def test_a_clip_that_cannot_be_written_is_counted_and_the_wake_stands(make_node, run, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    node = make_node(wake_clips=2, wake_clips_dir=str(tmp_path / 'file'))
    robot = run(node)
    node.fake.script = [0.0, 0.9]
    robot.send(np.zeros(1280 * 16, np.int16))
    wait_for(lambda: node.progress.counts().get('clips lost') == 1, 20, 'the loss')
    wait_for(lambda: len(robot.wakes) == 1, 10, 'the wake')
    assert node.problem() is None


def test_wrong_messages_are_refused_and_the_node_lives(make_node, run):
    node = make_node()
    robot = run(node)
    good = to_chunk(SILENCE, 0, 1000.0, RATE)
    for field, value in [('sample_rate', 8000), ('sample_rate', 0), ('channels', 0),
                         ('channels', 99), ('data', array.array('h', bytes(200_000)))]:
        bad = to_chunk(SILENCE, 0, 1000.0, RATE)
        setattr(bad, field, value)
        robot.audio.publish(bad)
    robot.audio.publish(good)
    frames(node, 1)
    assert node.progress.counts()['refused'] == 5
    assert node.problem() is None


def test_silence_of_the_topic_is_a_problem(make_node, run):
    node = make_node()
    robot = run(node)
    node.progress._clock = lambda: node.now_s
    node.now_s = 100.0
    node.progress.restart('chunks')
    node.now_s = 102.9
    assert node.problem() is None
    node.now_s = 104.5
    assert node.problem() == 'no audio on stt/audio for 3 s: stt sends none'
    node.now_s = 111.0
    assert node.problem() == 'no audio on stt/audio for 10 s: stt sends none'
    robot.send()
    frames(node, 1)
    wait_for(lambda: node.problem() is None, 10, 'recovery')


def test_a_failing_engine_is_a_problem_and_the_node_lives(make_node, run):
    node = make_node()
    robot = run(node)
    node.fake.failure = RuntimeError('onnx broke')
    robot.send()
    wait_for(lambda: node.problem() == 'scoring fails: RuntimeError: onnx broke', 10, 'problem')
    node.fake.failure = None
    robot.send(start_s=1000.08)
    wait_for(lambda: node.problem() is None, 10, 'recovery')


def test_a_frame_that_is_scored_for_ever_is_a_problem(make_node, run, monkeypatch):
    monkeypatch.setattr('va_kwd.node.HANG_S', 0.2)
    node = make_node()
    robot = run(node)
    hung = threading.Event()
    monkeypatch.setattr(node.fake, 'score', lambda frame: hung.wait(30) and {'hey_jarvis': 0.0})
    robot.send()
    wait_for(lambda: 'it hangs' in (node.problem() or ''), 10, 'problem')
    hung.set()
    wait_for(lambda: node.problem() is None, 10, 'recovery')


def test_nothing_is_scored_while_inactive_and_activate_forgets(make_node, run):
    node = make_node()
    robot = run(node)
    robot.send()
    frames(node, 1)
    assert node.trigger_deactivate() == SUCCESS
    resets = node.fake.resets
    assert node.trigger_activate() == SUCCESS
    assert node.fake.resets == resets + 1
    robot.send(start_s=9000.0)
    frames(node, 2)
    assert node.diagnostics()['gaps'] == '0'


def test_a_lost_chunk_is_counted(make_node, run):
    node = make_node()
    robot = run(node)
    robot.send()
    robot.sequence += 1
    robot.send(start_s=1000.16)
    frames(node, 2)
    wait_for(lambda: node.diagnostics()['gaps'] == '1', 10, 'the gap')
