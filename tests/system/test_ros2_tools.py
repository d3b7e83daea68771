# SPDX-License-Identifier: Apache-2.0
"""The real `ros2` command against the running assistant, where there is one."""
import os
import shutil
import subprocess

import pytest

ROS2 = shutil.which('ros2')
pytestmark = pytest.mark.skipif(ROS2 is None, reason='no ros2 on PATH: install ROS 2 or source it')


@pytest.fixture(scope='module', autouse=True)
def daemon(assistant):
    """The command starts a daemon by itself; it is ended after the tests."""
    yield
    ros2('daemon', 'stop')


def ros2(*arguments, timeout=40):
    """Run it as in a shell that knows nothing of the assistant's DDS settings."""
    hidden = ('FASTDDS_DEFAULT_PROFILES_FILE', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
    return subprocess.run([ROS2, *arguments], capture_output=True, text=True, timeout=timeout,
                          env={k: v for k, v in os.environ.items() if k not in hidden})


def eventually(expected, *arguments):
    """The first look-up of a fresh command may not know the graph yet."""
    for _ in range(4):
        answer = ros2(*arguments)
        if expected in answer.stdout:
            return answer.stdout
    raise AssertionError(f'ros2 {" ".join(arguments)}: {answer.stdout} {answer.stderr}')


def test_node_list(assistant):
    shown = ''
    for node in ('/loader', '/logger', '/kwd', '/stt', '/llm', '/tts'):
        shown = shown if node in shown else eventually(node, 'node', 'list')


@pytest.mark.parametrize('node', ['/logger', '/kwd', '/stt', '/llm', '/tts'])
def test_lifecycle_get(assistant, node):
    assert 'active' in eventually('active', 'lifecycle', 'get', node)


def test_topic_echo_of_the_latched_state(assistant, idle):
    shown = eventually('name: idle', 'topic', 'echo', '/loader/state', '--once',
                       '--qos-durability', 'transient_local', '--qos-reliability', 'reliable')
    assert 'phase: running' in shown


def test_param_set(assistant):
    assert 'successful' in eventually(
        'successful', 'param', 'set', '/kwd', 'confidence_threshold', '0.7'
    )
    assert '0.7' in eventually('0.7', 'param', 'get', '/kwd', 'confidence_threshold')
    assert 'successful' in eventually(
        'successful', 'param', 'set', '/kwd', 'confidence_threshold', '0.6'
    )


def test_action_send_goal(assistant, idle):
    shown = eventually('SUCCEEDED', 'action', 'send_goal', '/tts/speak',
                       'va_interfaces/action/Speak', '{text: "Hello from the command line."}')
    assert 'heard' in shown
