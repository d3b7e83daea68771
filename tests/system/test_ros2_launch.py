# SPDX-License-Identifier: Apache-2.0
"""Both launch files by the real `ros2 launch`, where there is one."""
from contextlib import contextmanager
import os
import shutil
import signal
import subprocess

import psutil
import pytest
from settings_of_tests import make_config, OTHER_DOMAIN, PORT_OFFSET
from virtual_room.product import REPOSITORY

from va_common.testing import wait_for

ROS2 = shutil.which('ros2')
pytestmark = pytest.mark.skipif(ROS2 is None, reason='no ros2 on PATH: install ROS 2 or source it')
NODES = ('logger', 'tts', 'llm', 'stt', 'kwd')
START_S, STOP_S = 90.0, 30.0


@contextmanager
def launched(name, environment, output, *arguments):
    """A launch file that runs; ended by SIGINT, as Ctrl-C does, it must leave nothing."""
    with output.open('wb') as file:
        process = subprocess.Popen(
            [ROS2, 'launch', str(REPOSITORY / 'launch' / name), 'namespace:=launched', *arguments],
            env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_S) == 0, output.read_text()[-2000:]
        assert psutil.wait_procs(family, 3.0)[1] == []
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5.0)


def says(environment, expected, *arguments):
    answer = subprocess.run([ROS2, *arguments], env=environment, capture_output=True, text=True,
                            timeout=40.0)
    return expected in answer.stdout


@pytest.fixture
def environment(room, monkeypatch):
    return os.environ | room.environment() | {'ROS_DOMAIN_ID': OTHER_DOMAIN}


def test_the_assistant(environment, tmp_path):
    config = make_config(tmp_path, system__port_offset=str(PORT_OFFSET + 100))
    with launched('assistant.launch.py', environment, tmp_path / 'output.log',
                  f'config:={config}'):
        wait_for(lambda: says(
            environment, 'name: idle', 'topic', 'echo', '/launched/loader/state', '--once',
            '--qos-durability', 'transient_local', '--qos-reliability', 'reliable'),
            START_S, 'the launched assistant is idle')


def test_the_nodes_without_the_loader(environment, tmp_path):
    parameters = tmp_path / 'nodes.yaml'
    parameters.write_text('/**:\n  ros__parameters:\n'
                          f'    system.port_offset: {PORT_OFFSET + 100}\n'
                          f'    log_dir: {tmp_path / "log"}\n')
    with launched('nodes.launch.py', environment, tmp_path / 'output.log',
                  f'params_file:={parameters}'):
        for node in NODES:
            wait_for(lambda node=node: says(
                environment, 'active', 'lifecycle', 'get', f'/launched/{node}'),
                START_S, f'{node} is active')
