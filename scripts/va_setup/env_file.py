# SPDX-License-Identifier: Apache-2.0
"""The one file that puts a shell into the environment."""

from __future__ import annotations

import os
from pathlib import Path
import shlex

from .host import Ros
from .places import Places

HEAD = """\
# Written by ./va setup; `source` it (bash, zsh or sh) to be in the assistant's environment.
VA_ROOT={root}; export VA_ROOT

_va_prepend() {{  # VARIABLE FOLDER: in front, once
    eval "_va_old=\\${{$1:-}}"
    case ":$_va_old:" in
        *":$2:"*) ;;
        *) eval "export $1=\\$2\\${{_va_old:+:\\$_va_old}}" ;;
    esac
}}
"""

TAIL = """\
# Nothing but this host: one Fast DDS transport, UDP on 127.0.0.1.
export FASTDDS_DEFAULT_PROFILES_FILE="$VA_ROOT/config/dds_local.xml"
export ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
# An edit of config/ counts at once, without a build.
export VA_CONFIG_DIR="${VA_CONFIG_DIR:-$VA_ROOT/config}"
# No look-ups at run time.
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
export PYTHONNOUSERSITE=1

unset -f _va_prepend
unset _va_old
"""

WHEELS = """\
export ROS_DISTRO={distro} ROS_VERSION=2 ROS_PYTHON_VERSION=3
# The wheels would start every Python twice to set this up.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
"""


def write(places: Places, ros: Ros) -> None:
    """Write the file anew, whole or not at all."""
    temporary = places.env_file.with_name('env.sh.new')
    temporary.write_text(text(places, ros), encoding='utf-8')
    os.replace(temporary, places.env_file)


def text(places: Places, ros: Ros) -> str:
    """Return the content of the file."""
    lines = [HEAD.format(root=shlex.quote(str(places.root)))]
    if ros.from_wheels:
        lines += [WHEELS.format(distro=ros.distro)]
        lines += [prepend('LD_LIBRARY_PATH', folder) for folder in library_folders(places)]
        lines += [prepend('AMENT_PREFIX_PATH', '.va/venv')]
    else:
        setup = shlex.quote(str(Path(ros.prefix, 'setup.sh')))
        lines += [f'[ "${{ROS_DISTRO:-}}" = {shlex.quote(ros.distro)} ] || . {setup}']
    lines += [
        prepend('LD_LIBRARY_PATH', '.va/install/lib'),
        prepend('AMENT_PREFIX_PATH', '.va/install'),
        prepend('CMAKE_PREFIX_PATH', '.va/install'),
        prepend('PYTHONPATH', f'.va/install/{places.site_packages}'),
        'export VIRTUAL_ENV="$VA_ROOT/.va/venv"',
        prepend('PATH', '.va/bin'),
        prepend('PATH', '.va/venv/bin'),
        '',
        TAIL,
    ]
    return '\n'.join(lines)


def prepend(variable: str, folder: str) -> str:
    """Return the line that puts a folder of the clone in front of a search path."""
    return f'_va_prepend {variable} "$VA_ROOT/{folder}"'


def library_folders(places: Places) -> list[str]:
    """Return the folders of the wheels' shared libraries, relative to the clone."""
    packages = places.venv / places.site_packages
    bundled = sorted(packages.glob('ros_*.libs')) + sorted(packages.glob('nvidia/*/lib'))
    return [str(path.relative_to(places.root)) for path in [*bundled, places.venv / 'lib']]
