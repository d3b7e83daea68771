# SPDX-License-Identifier: Apache-2.0
"""What the machine is: Python, C library, disk, ROS 2 installation, GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys

from .errors import AGAIN, SetupError

ROS_WHEELS = 'kilted'
KNOWN_ROS = ('jazzy', 'kilted')


@dataclass(frozen=True)
class Ros:
    """Where ROS 2 comes from."""

    distro: str
    prefix: str = ''
    """The installation; empty: Python wheels in the private environment."""

    @property
    def from_wheels(self) -> bool:
        """Tell whether ROS 2 is installed from wheels."""
        return not self.prefix

    def __str__(self) -> str:
        return f'{self.distro} {self.prefix or "wheels"}'


def check_python() -> None:
    """Refuse a Python, platform or C library that the locked packages are not built for."""
    version = platform.python_version()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise SetupError('Python', version, '3.10 to 3.13',
                         'Name another one: VA_PYTHON=/path/to/python3.12 ./va setup')
    if (sys.platform, platform.machine()) != ('linux', 'x86_64'):
        raise SetupError('platform', f'{sys.platform} {platform.machine()}', 'linux x86_64',
                         'Use a 64-bit PC with Debian 12 or Ubuntu 22.04 or 24.04.')
    library, number = platform.libc_ver()
    if library != 'glibc' or tuple(map(int, number.split('.')[:2])) < (2, 28):
        raise SetupError('C library', f'{library or "not glibc"} {number}'.strip(), 'glibc 2.28',
                         'Use Debian 12 or Ubuntu 22.04 or 24.04.')


def sourced_ros(environ: Mapping[str, str]) -> Ros | None:
    """Return the ROS 2 installation whose set-up file this shell has sourced."""
    for prefix in environ.get('AMENT_PREFIX_PATH', '').split(':'):
        if '/.va/' in prefix or not prefix:
            continue
        if Path(prefix, 'share/rclpy/package.xml').is_file():
            return Ros(environ.get('ROS_DISTRO', 'unknown'), prefix)
    return None


def choose_ros(environ: Mapping[str, str], recorded: str) -> Ros:
    """Choose where ROS 2 comes from: sourced now, else as at the last set-up, else wheels."""
    sourced = sourced_ros(environ)
    if sourced is not None:
        if sourced.distro not in KNOWN_ROS:
            raise SetupError('ROS 2', f'{sourced.distro} in {sourced.prefix}',
                             'jazzy or kilted, or none at all',
                             'Source one of those, or run ./va in a shell without ROS 2.')
        return sourced
    distro, _, prefix = recorded.partition(' ')
    if prefix.startswith('/') and Path(prefix, 'setup.sh').is_file():
        return Ros(distro, prefix)
    wheels = environ.get('VA_ROS_WHEELS', ROS_WHEELS)
    if wheels not in KNOWN_ROS:
        raise SetupError('VA_ROS_WHEELS', wheels, 'jazzy or kilted', 'Correct it or unset it.')
    return Ros(wheels)


def existing_parent(path: Path) -> Path:
    """Return path, or its nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return path


def need_space(path: Path, megabytes: int, what: str) -> None:
    """Refuse to start what would fill the disk."""
    free = shutil.disk_usage(existing_parent(path)).free // 2**20
    if free < megabytes:
        raise SetupError('disk', f'{free} MB free at {path}', f'{megabytes} MB for {what}',
                         f'Free some space, {AGAIN}')


def need_writable(path: Path) -> None:
    """Refuse a folder that cannot be written."""
    parent = existing_parent(path)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SetupError('folder', f'{parent} is not writable by this user',
                         'a clone that belongs to the user', 'Change its owner, or clone again.')


def gpus() -> list[str]:
    """Return the names of the GPUs that CUDA programs can use here."""
    if shutil.which('nvidia-smi') is None:
        return []
    query = ['nvidia-smi', '--query-gpu=name', '--format=csv,noheader']
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []
