# SPDX-License-Identifier: Apache-2.0
"""A copy of the repository to set up, and a machine to do it on that lacks something."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / 'scripts'))


@dataclass
class Result:
    """What a command did."""

    code: int
    output: str

    @property
    def message(self) -> str:
        """The one line of the assistant's own that says what is wrong."""
        lines = [line for line in self.output.splitlines()
                 if line.startswith('va: ') and '; expected ' in line]
        assert len(lines) == 1, self.output
        return lines[0]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository as a fresh clone has it, without the sources that set-up does not read."""
    target = tmp_path / 'clone'
    target.mkdir()
    shutil.copy2(REPOSITORY / 'va', target)
    for name in ('requirements', 'config'):
        shutil.copytree(REPOSITORY / name, target / name)
    shutil.copytree(REPOSITORY / 'scripts', target / 'scripts',
                    ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copytree(REPOSITORY / 'src/va_common', target / 'src/va_common',
                    ignore=shutil.ignore_patterns('__pycache__', 'test'))
    return target


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a user on a machine of their own: nothing cached, nothing sourced."""
    home = tmp_path / 'home'
    home.mkdir()
    kept = {name: value for name, value in os.environ.items()
            if name in ('PATH', 'LANG', 'SSL_CERT_FILE', 'PIP_CERT', 'TMPDIR')}
    kept['PATH'] = os.pathsep.join(
        part for part in kept['PATH'].split(os.pathsep) if '/.va/' not in part)
    return {**kept, 'HOME': str(home), 'VA_PYTHON': base_python()}


def base_python() -> str:
    """The interpreter that this environment was made from."""
    return os.path.realpath(sys.executable)


@pytest.fixture
def va(clone: Path, machine: dict[str, str]) -> Callable[..., Result]:
    """Run ./va in the clone."""
    def run(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> Result:
        done = subprocess.run(
            [*prefix, str(clone / 'va'), *arguments], env={**machine, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=240, check=False)
        assert 'Traceback' not in done.stdout, done.stdout
        return Result(done.returncode, done.stdout)
    return run


@pytest.fixture
def tools(tmp_path: Path) -> Callable[..., str]:
    """Make a PATH that holds a few commands only, some of them ours."""
    folder = tmp_path / 'tools'
    folder.mkdir()

    def make(*names: str, **scripts: str) -> str:
        for name in names:
            found = shutil.which(name)
            assert found, name
            (folder / name).symlink_to(found)
        for name, body in scripts.items():
            path = folder / name.replace('_', '-')
            path.write_text(f'#!/bin/sh\n{body}\n')
            path.chmod(0o755)
        return str(folder)
    return make


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip('mounting a small file system needs root')
    target = tmp_path / 'disk'
    target.mkdir()
    mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', str(target)],
                           capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f'mounting a small file system is not allowed here: {mount.stderr.strip()}')
    yield target
    subprocess.run(['umount', '--lazy', str(target)], check=True)
