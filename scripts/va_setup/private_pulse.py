# SPDX-License-Identifier: Apache-2.0
"""PulseAudio's server beside PipeWire, for the virtual room only.

On a desktop that uses PipeWire the package pulseaudio would replace it: the machine's own sound
would be gone. There the package is unpacked below .va and only what it depends on is installed.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
import re
from shlex import quote
import shutil
import subprocess
import tempfile

from .console import Console
from .places import Places

WRAPPER = """\
#!/bin/sh
# Written by ./va setup: PulseAudio's server, unpacked beside PipeWire.
export LD_LIBRARY_PATH={libraries}"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec {server} --dl-search-path={modules} "$@"
"""
NOT_NEEDED = {'pulseaudio', 'adduser', 'lsb-base', 'init-system-helpers', 'rtkit'}


def needed() -> bool:
    """Tell whether installing PulseAudio would take PipeWire away."""
    return any(installed(package) for package in ('pipewire-alsa', 'pipewire-audio'))


def installed(package: str) -> bool:
    """Tell whether a package is installed."""
    return version(package) != ''


def version(package: str) -> str:
    """Return the version of an installed package; empty when it is not."""
    answer = subprocess.run(
        ['dpkg-query', '--show', '--showformat', '${db:Status-Status} ${Version}', package],
        capture_output=True, text=True, check=False).stdout
    status, _, number = answer.partition(' ')
    return number if status == 'installed' else ''


def dependencies() -> list[str]:
    """Return the packages that the server depends on and that are not installed."""
    answer = subprocess.run(['apt-cache', 'depends', '--important', 'pulseaudio'],
                            capture_output=True, text=True, check=False).stdout
    names = re.findall(r'^ {2}(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)$', answer, re.MULTILINE)
    return [name for name in names if name not in NOT_NEEDED and not installed(name)]


def unpack(places: Places, console: Console) -> None:
    """Unpack the server below .va and put a command in front of it."""
    target = places.private / 'pulse'
    with tempfile.TemporaryDirectory(dir=places.private, prefix='pulse-') as temporary:
        exact = version('libpulse0')
        spec = f'pulseaudio={exact}' if exact else 'pulseaudio'
        if console.attempt(['apt-get', 'download', spec], cwd=Path(temporary))[0] != 0:
            console.run('fetching the package pulseaudio', ['apt-get', 'download', 'pulseaudio'],
                        cwd=Path(temporary))
        package = glob.glob(f'{temporary}/*.deb')[0]
        console.run('unpacking the package pulseaudio',
                    ['dpkg-deb', '--extract', package, f'{temporary}/root'])
        shutil.rmtree(target, ignore_errors=True)
        os.rename(f'{temporary}/root', target)
    write_wrapper(places, target)


def write_wrapper(places: Places, target: Path) -> None:
    """Write the command .va/bin/pulseaudio."""
    modules = next(iter(sorted(target.glob('usr/lib/**/modules/module-null-sink.so')))).parent
    libraries = ':'.join(sorted({
        str(path.parent) for path in target.glob('usr/lib/**/libpulsecore-*.so')}))
    command = places.private / 'bin/pulseaudio'
    command.parent.mkdir(exist_ok=True)
    temporary = command.with_name('pulseaudio.new')
    temporary.write_text(WRAPPER.format(
        libraries=quote(libraries), server=quote(str(target / 'usr/bin/pulseaudio')),
        modules=quote(str(modules))), encoding='utf-8')
    temporary.chmod(0o755)
    os.replace(temporary, command)
