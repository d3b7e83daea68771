# SPDX-License-Identifier: Apache-2.0
"""The assistant as a user starts it: ``python -m va_loader.main``, with its devices in the
room.
"""
from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time
import uuid

import psutil

from virtual_room.processes import terminate_with_parent

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_CONFIG = REPOSITORY / 'config' / 'assistant.ini'
_MARK = 'VA_VIRTUAL_ROOM_RUN'


def write_config(target: Path, changes: Mapping[str, str], source: Path = DEFAULT_CONFIG) -> Path:
    """A copy of the configuration with some values changed; keys are ``section.key``.

    Raises KeyError for a key that the file does not have.
    """
    section, missing, lines = '', set(changes), []
    for line in source.read_text().splitlines():
        if found := re.match(r'\[(\w+)\]', line):
            section = found[1]
        elif (found := re.match(r'(\w+)\s*=', line)) and f'{section}.{found[1]}' in changes:
            name = f'{section}.{found[1]}'
            line = f'{found[1]}={changes[name]}'
            missing.discard(name)
        lines.append(line)
    if missing:
        raise KeyError(f'{source} has no {", ".join(sorted(missing))}')
    target.write_text('\n'.join(lines) + '\n')
    return target


class Product:
    """One run of the assistant. Its output goes to ``log``; it is stopped with its owner."""

    def __init__(self, config: Path, environment: Mapping[str, str], log: Path) -> None:
        self._config = config
        self._environment = dict(environment)
        self._mark = uuid.uuid4().hex
        self.log = log
        self.started_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        environment = os.environ | self._environment | {_MARK: self._mark}
        with self.log.open('ab') as output:
            self.started_s = time.time()
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'va_loader.main', '--config', str(self._config), *options],
                env=environment, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, preexec_fn=terminate_with_parent)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def processes(self) -> list[psutil.Process]:
        """Every process that carries this run's mark: also those whose parent is gone."""
        return [p for p in psutil.process_iter() if self._is_ours(p)]

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """SIGINT to main, as Ctrl-C; returns its exit code, None when it did not end in time."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def left_over(self, timeout_s: float = 3.0) -> list[str]:
        """What still runs after the end, as ``name (pid)``."""
        _, alive = psutil.wait_procs(self.processes(), timeout_s)
        return [f'{_title(p)} ({p.pid})' for p in alive]

    def kill(self) -> None:
        """End everything of this run at once."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait(5.0)

    def last_lines(self, count: int = 3) -> str:
        """The end of its output, on one line."""
        if not self.log.exists():
            return ''
        lines = [
            line for line in self.log.read_text(errors='replace').splitlines() if line.strip()
        ]
        return ' | '.join(lines[-count:])

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (process.environ().get(_MARK) == self._mark
                    and process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.Error, OSError):
            return False


def _title(process: psutil.Process) -> str:
    try:
        return ' '.join(process.cmdline()[-3:])
    except psutil.Error:
        return process.name()
