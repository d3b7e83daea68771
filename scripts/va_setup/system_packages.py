# SPDX-License-Identifier: Apache-2.0
"""System packages: which are missing, and how they get here."""

from __future__ import annotations

from collections.abc import Callable
import ctypes.util
from dataclasses import dataclass
import glob
import importlib.util
import os
from pathlib import Path
import shutil
import sys
import sysconfig

from . import private_pulse
from .console import Console
from .errors import AGAIN, SetupError
from .places import Places

APT = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get']
INSTALL = [*APT, 'install', '--yes', '--no-install-recommends', '--no-remove']


@dataclass(frozen=True)
class Need:
    """Something the assistant needs from the system."""

    package: str
    """Its name in Debian and Ubuntu."""
    present: Callable[[], bool]


def commands(*names: str) -> Callable[[], bool]:
    """Tell whether commands are there."""
    return lambda: all(shutil.which(name) for name in names)


def _python_package(part: str) -> str:
    return f'python3.{sys.version_info.minor}-{part}'


NEEDS = (
    Need('build-essential', commands('cc', 'c++', 'make')),
    Need('cmake', commands('cmake')),
    Need(_python_package('venv'), lambda: importlib.util.find_spec('ensurepip') is not None),
    Need(_python_package('dev'), lambda: Path(sysconfig.get_path('include'), 'Python.h').exists()),
    Need('libportaudio2', lambda: ctypes.util.find_library('portaudio') is not None),
    Need('libasound2-plugins', lambda: bool(
        glob.glob('/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so'))),
    Need('pulseaudio-utils', commands('pactl')),
    Need('pulseaudio', commands('pulseaudio')),
)


def missing(needs: tuple[Need, ...] = NEEDS) -> list[str]:
    """Return the packages that are not here."""
    return [need.package for need in needs if not need.present()]


def administrator() -> list[str] | None:
    """Return what goes before a command to run it as root; None where that is not possible."""
    if os.geteuid() == 0:
        return []
    if shutil.which('sudo') is None:
        return None
    return ['sudo'] if sys.stdin.isatty() else ['sudo', '--non-interactive']


def install(places: Places, console: Console) -> None:
    """Install what is missing, or say which command does."""
    packages = missing()
    beside_pipewire = 'pulseaudio' in packages and private_pulse.needed()
    if beside_pipewire:
        packages.remove('pulseaudio')
        packages += private_pulse.dependencies()
    if packages:
        apt_install(packages, console)
    if beside_pipewire and not (places.private / 'bin/pulseaudio').exists():
        private_pulse.unpack(places, console)


def apt_install(packages: list[str], console: Console) -> None:
    """Install packages with apt-get."""
    names = ' '.join(packages)
    if shutil.which('apt-get') is None:
        raise SetupError('system packages', f'missing: {names}',
                         'them (Debian and Ubuntu names; this system has no apt-get)',
                         f'Install what they hold, {AGAIN}')
    by_hand = f'sudo apt-get install --no-install-recommends {names}'
    root = administrator()
    if root is None or console.attempt([*root, 'true'])[0] != 0:
        raise SetupError('system packages', f'missing: {names}',
                         'them, or the right to install them', f'Run: {by_hand}; {AGAIN}')
    if console.attempt([*root, *INSTALL, *packages])[0] != 0:
        # Package lists that are empty or old are the usual reason.
        console.run('updating the package lists', [*root, *APT, 'update'])
        console.run(f'installing system packages ({by_hand})', [*root, *INSTALL, *packages])
    left = [name for name in missing() if name in packages]
    if left:
        raise SetupError('system packages', f'still missing: {" ".join(left)}',
                         'them after apt-get install', f'Read {console.log}, {AGAIN}')
