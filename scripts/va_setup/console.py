# SPDX-License-Identifier: Apache-2.0
"""Progress on the terminal, and commands whose output goes to the set-up's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time

from .errors import explain


class Console:
    """Says what is going on: a live line on a terminal, a line per step elsewhere."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.live = sys.stdout.isatty()
        self._title = ''
        self._started = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        self._clear()
        print(text, flush=True)

    def begin(self, number: int, total: int, title: str) -> None:
        """Start a step."""
        self._title = f'va: [{number}/{total}] {title}'
        self._started = time.monotonic()
        self.say(self._title)

    def done(self) -> None:
        """End a step."""
        self.say(f'{self._title}: done in {time.monotonic() - self._started:.0f} s')

    def show(self, text: str) -> None:
        """Show what the step is at, on a terminal only; the next line replaces it."""
        if not self.live:
            return
        width = shutil.get_terminal_size().columns - 1
        line = f'{time.monotonic() - self._started:4.0f} s  {text}'
        sys.stdout.write('\r\x1b[K' + line[:width])
        sys.stdout.flush()

    def _clear(self) -> None:
        if self.live:
            sys.stdout.write('\r\x1b[K')

    def run(self, what: str, command: Sequence[str], *,
            env: Mapping[str, str] | None = None, cwd: Path | None = None,
            online: bool = True) -> str:
        """Run a command, its output into the log; a failure is a SetupError in one line."""
        code, output = self.attempt(command, env=env, cwd=cwd)
        if code != 0:
            raise explain(what, output, str(self.log), online=online)
        return output

    def attempt(self, command: Sequence[str], *, env: Mapping[str, str] | None = None,
                cwd: Path | None = None) -> tuple[int, str]:
        """Run a command, its output into the log; return its exit code and output."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        with open(self.log, 'a', encoding='utf-8') as log:
            log.write(f'$ {" ".join(command)}\n')
            log.flush()
            with subprocess.Popen(
                    list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    errors='replace', stdin=subprocess.DEVNULL, cwd=cwd,
                    env={**os.environ, **(env or {})}) as process:
                try:
                    assert process.stdout is not None
                    for line in process.stdout:
                        log.write(line)
                        lines.append(line)
                        if line.strip():
                            self.show(line.strip())
                except BaseException:
                    process.terminate()
                    raise
        return process.returncode, ''.join(lines)
