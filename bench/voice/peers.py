# SPDX-License-Identifier: Apache-2.0
"""The environment of the peers: never a part of the assistant, made when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / 'bench/peers/requirements.lock'
INSTALL = './va bench voice --peers'
OLDEST = (3, 11)


def environment() -> Path:
    """Folder of the environment; ``VA_PEERS`` goes before."""
    return Path(os.environ.get('VA_PEERS') or ROOT / '.va/peers')


def python() -> Path | None:
    """Its Python, when the peers are installed as the lock says."""
    program = environment() / 'bin/python'
    stamp = environment() / 'installed.lock'
    if program.exists() and stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
        return program
    return None


def missing() -> str:
    """What to say where they are not installed."""
    return (f'pipecat is not installed (looked in {environment()}), so it is not measured. '
            f'To install it there: {INSTALL}')


def install() -> None:
    """Make the environment. Raises SystemExit with what failed and what to do."""
    if sys.version_info[:2] < OLDEST:
        raise SystemExit(f'Python {sys.version.split()[0]}: pipecat wants 3.11 or newer. '
                         'Set the assistant up with a newer one: VA_PYTHON=python3.12 ./va setup')
    folder = environment()
    _run([sys.executable, '-m', 'venv', '--clear', str(folder)], 'makes the environment')
    clean = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'LD_LIBRARY_PATH')}
    _run([str(folder / 'bin/python'), '-m', 'pip', 'install', '--require-hashes', '--no-deps',
          '--disable-pip-version-check', '-q', '-r', str(LOCK)],
         'installs pipecat; PyAudio is compiled: sudo apt-get install portaudio19-dev gcc', clean)
    (folder / 'installed.lock').write_bytes(LOCK.read_bytes())
    print(f'pipecat is installed in {folder}')


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    code = subprocess.run(command, env=environment, check=False).returncode
    if code:
        raise SystemExit(f'{" ".join(command)}: exit code {code} ({what})')
