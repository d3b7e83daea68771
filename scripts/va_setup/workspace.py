# SPDX-License-Identifier: Apache-2.0
"""The colcon build of src/ into .va."""

from __future__ import annotations

import os
from pathlib import Path
import shutil

from .console import Console
from .host import need_space
from .places import Places
from .stamps import digest, file_digest, files_below, Stamps

BUILD_MB = 300


def sources(places: Places) -> list[Path]:
    """Return the files that the build depends on."""
    return [*files_below(places.root / 'src'), *files_below(places.root / 'launch'),
            places.root / 'colcon.meta']


def names(places: Places) -> str:
    """Return the hash of which files there are; config/ is used in place, not as installed."""
    return digest(*map(str, sources(places)), *map(str, files_below(places.root / 'config')))


def key(places: Places, environment: str) -> str:
    """Return the hash of everything that the build is made from."""
    return digest(environment, names(places), file_digest(sources(places)))


def build(places: Places, stamps: Stamps, environment: str, console: Console) -> None:
    """Build every package; no network is needed."""
    need_space(places.root, BUILD_MB, 'the build')
    clear_stale(places, stamps, environment)
    settings = {
        'MAKEFLAGS': f'-j{os.cpu_count() or 1}',  # colcon's own -l waits on a busy machine
        # Empty: installed modules are byte-compiled, so that no start has to do it.
        'PYTHONDONTWRITEBYTECODE': ''}
    colcon = (f'. "{places.env_file}" && exec colcon --log-base .va/log/colcon build'
              ' --base-paths src --build-base .va/build --install-base .va/install'
              ' --merge-install --event-handlers console_direct-'
              ' --cmake-args -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=None'
              # Generated glue: compiled twice as fast, and just as fast at what it does here.
              ' -DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O0'
              ' -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python"')
    console.run('building the workspace', ['sh', '-c', colcon], cwd=places.root,
                env=settings, online=False)


def clear_stale(places: Places, stamps: Stamps, environment: str) -> None:
    """Take away what files that no longer exist, or another environment, have left."""
    interfaces = places.build / 'va_interfaces'
    if stamps.get('build-environment') != environment:
        shutil.rmtree(places.build, ignore_errors=True)
    if stamps.get('build-files') != names(places):
        shutil.rmtree(places.install, ignore_errors=True)
        for folder in places.build.glob('*'):
            if folder != interfaces and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
    stamps.put('build-environment', environment)
    stamps.put('build-files', names(places))
