# SPDX-License-Identifier: Apache-2.0
"""What a robot's own programs do with the assistant: speak, listen, ask."""
import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
from virtual_room.hearing import Ear, read_recording, share_heard, word_error
from virtual_room.script import WAKE

from va_common.testing import wait_for
from va_interfaces.action import Complete, Listen, Speak
from va_interfaces.msg import ChatMessage, PlaybackEvent, Transcript
from va_interfaces.srv import StopListening

ROOT = Path(__file__).resolve().parents[2]


def test_speak_is_heard_in_the_room(robot, room, observer, idle):
    events = []
    text = 'The battery is almost empty.'
    begin_s = time.time()
    handle = robot.send(Speak, 'tts/speak', Speak.Goal(text=text),
                        feedback=lambda f: events.append(f.event.kind))
    wait_for(lambda: PlaybackEvent.STARTED in events, 30.0, 'it begins')
    result = robot.result(handle)
    assert (result.error_code, result.heard) == (0, text), result.error_msg
    assert result.duration_s > 1.0
    # The recording is written as it grows; a second later the end is in the file.
    end_s = time.time()
    wait_for(lambda: room.status.get('time_s', 0.0) > end_s + 1.0, 30.0, 'the end is recorded')
    speaker = read_recording(room.speaker_wav)
    sound = speaker[int((begin_s - room.t0_s) * 16000):]
    assert share_heard(text, Ear().transcribe(sound)) >= 0.6


def test_the_wake_word_silences_it(robot, user, observer, idle):
    text = ' '.join(['The river runs through the green valley and down to the sea.'] * 8)
    handle = robot.send(Speak, 'tts/speak', Speak.Goal(text=text))
    assert observer.wait(lambda e: e.topic == 'tts/playback' and e.message.position_s > 1.0,
                         60.0, mark=idle)
    user.say(WAKE)
    result = robot.result(handle)
    assert (result.error_code, result.error_msg) == (6, 'stopped: wake word')
    assert len(result.heard) < len(text)
    woken = observer.wait(lambda e: e.topic == 'loader/state' and e.message.dialog_id, 20.0,
                          mark=idle).message
    robot.call(StopListening, 'stt/stop', StopListening.Request(
        dialog_id=woken.dialog_id, turn=woken.turn, reason='the test is over'))


def test_a_goal_can_be_cancelled(robot, observer, idle):
    handle = robot.send(Speak, 'tts/speak', Speak.Goal(text='One. Two. Three. Four. Five. ' * 6))
    assert observer.wait(lambda e: e.topic == 'tts/playback'
                         and e.message.kind == PlaybackEvent.STARTED, 20.0, mark=idle)
    result = robot.cancel(handle)
    assert result.error_code == 6
    assert len(result.heard) < 100


@pytest.mark.parametrize(
    'goal',
    [
        Speak.Goal(text=''),
        Speak.Goal(text='Hi.', voice='nobody'),
        Speak.Goal(text='Hi.', speed=9.0),
    ],
)
def test_a_bad_goal_is_refused_with_a_reason(robot, goal):
    result = robot.act(Speak, 'tts/speak', goal)
    assert result.error_code == 1
    assert result.error_msg


def test_ask_streams_an_answer(robot):
    pieces = []
    goal = Complete.Goal(
        messages=[ChatMessage(role='user', content='What is the capital of France?')]
    )
    handle = robot.send(Complete, 'llm/complete', goal, feedback=lambda f: pieces.append(f.chunk))
    wait_for(lambda: pieces, 60.0, 'it begins')
    result = robot.result(handle)
    assert result.error_code == 0, result.error_msg
    # rclpy drops the feedback that comes together with the result, or after it.
    assert result.text.strip().startswith(''.join(p.text for p in pieces).strip())
    assert [p.sequence for p in pieces] == list(range(len(pieces)))
    assert result.completion_tokens > 0


def test_listen_gives_the_text(robot, user, idle):
    partials = []
    handle = robot.send(Listen, 'stt/listen', Listen.Goal(silence_ms=700),
                        feedback=lambda f: partials.append(f.transcript.kind))
    user.say('The robot is in the kitchen.')
    wait_for(lambda: Transcript.STARTED in partials, 30.0, 'it hears somebody')
    result = robot.result(handle)
    assert result.error_code == 0, result.error_msg
    assert word_error('The robot is in the kitchen.', result.text) <= 0.34


def test_listen_gives_up_in_silence(robot, idle):
    begin = time.monotonic()
    result = robot.act(Listen, 'stt/listen', Listen.Goal(no_speech_timeout_ms=1500), 15.0)
    assert result.text == ''
    assert time.monotonic() - begin < 8.0


def test_the_example_robot(assistant, user, observer, idle):
    """examples/robot_node.py speaks, asks, listens and repeats what it heard."""
    example = subprocess.Popen(
        [sys.executable, str(ROOT / 'examples/robot_node.py')],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
    )
    try:
        prompt = observer.wait(
            lambda e: e.topic == 'tts/playback' and e.message.kind == PlaybackEvent.FINISHED
            and 'say something' in e.message.text, 90.0, mark=idle)
        assert prompt is not None
        user.say('The robot is in the kitchen.')
        output, errors = example.communicate(timeout=60)
    finally:
        example.kill()
        example.wait(5)
    assert example.returncode == 0, errors
    assert 'kitchen' in output
