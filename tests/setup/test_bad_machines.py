# SPDX-License-Identifier: Apache-2.0
"""Machines that set-up cannot use: one line, an exit code, and nothing half-written."""
import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import sys

import pytest

BASIC = ('bash', 'sh', 'env', 'dirname', 'readlink', 'uname', 'cat')


@pytest.mark.parametrize('platform', ['Linux aarch64', 'Darwin arm64'])
def test_another_platform(va, clone, tools, platform):
    result = va('setup', PATH=tools(*(set(BASIC) - {'uname'}), uname=f'echo {platform}'))
    assert result.code == 1
    assert result.message == (
        f'va: platform: {platform}; expected Linux x86_64. '
        'Use a 64-bit PC with Debian 12 or Ubuntu 22.04 or 24.04.')
    assert not (clone / '.va').exists()


def test_a_python_that_is_too_old(va, clone, tools):
    if os.geteuid() != 0:
        pytest.skip("hiding the system's own Python needs root")
    path = tools(*BASIC, 'mount', 'unshare', python3='echo 3.9')
    hidden = ('unshare', '--mount', 'sh', '-c',
              f'mount --bind {path}/python3 /usr/bin/python3 && exec "$@"', 'sh')
    result = va('setup', prefix=hidden, PATH=path, VA_PYTHON='')
    assert result.code == 1
    assert result.message == (
        'va: Python: 3.9; expected 3.10 to 3.13. Install python3 (sudo apt-get install python3), '
        'or name one: VA_PYTHON=/path/to/python3.12 ./va')
    assert not (clone / '.va').exists()


@pytest.mark.parametrize('version', ['2.7', '3.9', '3.14'])
def test_a_named_python_of_the_wrong_version(va, clone, tmp_path, version):
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\necho {version}\n')
    python.chmod(0o755)
    result = va('run', VA_PYTHON=str(python))
    assert result.code == 1
    assert result.message == (
        f'va: VA_PYTHON: {python} ({version}); expected Python 3.10 to 3.13. '
        'Name another one, or unset VA_PYTHON.')
    assert not (clone / '.va').exists()


def test_a_named_python_that_is_not_there(va):
    result = va('setup', VA_PYTHON='/nowhere/python3')
    assert result.code == 1
    assert '/nowhere/python3 (does not run); expected Python 3.10 to 3.13' in result.message


def test_no_room_for_the_environment(va, clone, machine, small_disk):
    for name in ('va', 'scripts', 'requirements', 'config', 'src'):
        shutil.move(clone / name, small_disk / name)
    clone.rmdir()
    clone.symlink_to(small_disk)
    result = va('setup')
    assert result.code == 1
    assert f'MB free at {small_disk}; expected 1600 MB for the Python env' in result.message
    assert result.message.endswith('then run ./va setup again: it goes on where it stopped.')
    assert not (small_disk / '.va/venv').exists()


def test_no_room_for_the_models(small_disk, machine):
    result = subprocess.run(
        [sys.executable, '-m', 'va_common.model_catalogue'], capture_output=True, text=True,
        env={**os.environ, 'VA_MODELS_DIR': str(small_disk / 'models')}, check=False)
    assert result.returncode == 1
    assert f'MB free at {small_disk / "models"}; expected ' in result.stderr
    assert not list((small_disk / 'models').glob('*/*'))


def test_no_network(va, clone, machine):
    if os.geteuid() != 0 and subprocess.run(
            ['unshare', '-rn', 'true'], capture_output=True, check=False).returncode != 0:
        pytest.skip('a namespace without network is not allowed here')
    prefix = ('unshare', '-n') if os.geteuid() == 0 else ('unshare', '-rn')
    result = va('setup', prefix=prefix)
    assert result.code == 1
    assert result.message == (
        'va: network: no connection while installing the installer; expected a network during '
        'set-up. Connect (behind a proxy or a mirror: set HTTPS_PROXY or PIP_INDEX_URL), then run '
        './va setup again: it goes on where it stopped.')
    assert not (clone / '.va/venv').exists()


def test_no_network_for_the_models(tmp_path):
    result = subprocess.run(
        [sys.executable, '-m', 'va_common.model_catalogue', 'silero-vad'],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, 'VA_MODELS_DIR': str(tmp_path / 'models'), 'PIP_RETRIES': '0',
             'PIP_INDEX_URL': 'http://127.0.0.1:9/simple', 'PIP_FIND_LINKS': ''})
    assert result.returncode == 1
    assert 'va: network: no connection while fetching silero-vad' in result.stderr
    assert './va models goes on where it stopped' in result.stderr
    assert not (tmp_path / 'models/silero-vad').exists()


def test_an_interrupted_setup_leaves_nothing_half_made(clone, machine):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        environment = {**machine, 'PIP_FIND_LINKS': '',
                       'PIP_INDEX_URL': f'http://127.0.0.1:{silent.getsockname()[1]}/simple'}
        setup = subprocess.Popen(
            [str(clone / 'va'), 'setup'], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        silent.settimeout(120)
        connection, _ = silent.accept()
        with connection:
            os.killpg(setup.pid, signal.SIGTERM)
            output, _ = setup.communicate(timeout=60)
    assert setup.returncode == 130
    assert 'va: set-up interrupted; ./va setup goes on where it stopped' in output
    assert 'Traceback' not in output
    assert not (clone / '.va/venv').exists()
    assert sorted(path.name for path in (clone / '.va/stamps').iterdir()) == [
        'profile', 'ros', 'system']


def test_a_clone_of_somebody_else(va, clone):
    if os.geteuid() == 0:
        pytest.skip('root may write everywhere')
    clone.chmod(0o555)
    result = va('setup')
    clone.chmod(0o755)
    assert result.code == 1
    assert 'is not writable by this user' in result.message


def test_a_ros_that_is_not_supported(va, clone, tmp_path):
    prefix = tmp_path / 'opt/ros/humble'
    (prefix / 'share/rclpy').mkdir(parents=True)
    (prefix / 'share/rclpy/package.xml').write_text('<package/>')
    result = va('setup', ROS_DISTRO='humble', AMENT_PREFIX_PATH=str(prefix))
    assert result.code == 1
    assert f'va: ROS 2: humble in {prefix}; expected jazzy or kilted' in result.message
    assert not (clone / '.va/venv').exists()


def test_an_unknown_command(va):
    result = va('rum')
    assert result.code == 2
    assert result.message == 'va: command: rum; expected one of those in ./va help'


def test_help_needs_nothing(va, tools):
    result = va('help', PATH=tools(*BASIC))
    assert result.code == 0
    assert './va COMMAND' in result.output


def test_every_message_says_what_to_do():
    """No set-up error is raised without its four parts."""
    from va_setup.errors import SetupError
    error = SetupError('thing', 'value', 'something else', 'Do this.')
    assert str(error) == 'thing: value; expected something else. Do this.'


def test_no_address_of_a_registry_is_committed(request):
    root = Path(__file__).resolve().parents[2]
    names = ('pyp' + 'i.org', 'pythonhost' + 'ed.org', 'npmj' + 's.org', 'registry.npm' + 'js')
    tracked = [*root.glob('requirements/*'), *root.glob('scripts/**/*.py'), root / 'va',
               *root.glob('config/*'), *root.glob('src/*/*/*.py')]
    for path in tracked:
        text = path.read_text(encoding='utf-8')
        assert not [name for name in names if name in text], path
