# SPDX-License-Identifier: Apache-2.0
"""What is measured: the assistant in one of its modes, or a peer, each with the room's devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
import json
import os
from pathlib import Path
import shutil
import subprocess
import threading
from typing import Any, Protocol

from virtual_room.processes import stop_process, terminate_with_parent
from virtual_room.product import Product, write_config

from voice.ears import Ears, NotComing

BOOT_S, GREETING_QUIET_S = 180.0, 1.5
PEER_READY_S = 180.0
_END_S = 5.0


class System(Protocol):
    """Something that answers a user."""

    wakes: bool
    """Whether it wants its wake word first."""

    def start(self, devices: Mapping[str, str]) -> None:
        """Start it with the room's devices (environment variables)."""

    def wait_ready(self, ears: Ears) -> None:
        """Return when it can be spoken to. Raises NotComing."""

    def problem(self) -> str:
        """Why it cannot answer any more; empty while it can."""

    def new_dialog(self) -> None:
        """What was said so far is to be forgotten."""

    def stop(self) -> None:
        """End it and everything that belongs to it; safe to call twice."""


class Assistant:
    """The product as a user starts it, with some settings changed (``section.key``).

    Args:
        options: of ``main``.
    """

    wakes = True

    def __init__(self, out: Path, changes: Mapping[str, str], ros_domain: int,
                 options: Sequence[str] = ()) -> None:
        self.log_dir = out / 'log'
        shutil.rmtree(self.log_dir, ignore_errors=True)
        self._config = write_config(
            out / 'assistant.ini', {'logger.log_dir': str(self.log_dir)} | dict(changes))
        self._out = out
        self._domain = {'ROS_DOMAIN_ID': str(ros_domain)}
        self._options = options
        self.product: Product | None = None

    def start(self, devices: Mapping[str, str]) -> None:
        """See :class:`System`."""
        self.product = Product(
            self._config, dict(devices) | self._domain, self._out / 'assistant.log')
        self.product.start(*self._options)

    def wait_ready(self, ears: Ears, since_s: float = 0.0) -> None:
        """See :class:`System`; the greeting is heard after ``since_s`` of the recording."""
        greeted_s = ears.wait_for_sound(since_s, BOOT_S)
        if greeted_s is None:
            raise NotComing(f'the assistant did not greet within {BOOT_S:.0f} s')
        ears.wait_for_quiet(greeted_s, GREETING_QUIET_S, 30.0)

    def problem(self) -> str:
        """See :class:`System`."""
        assert self.product is not None
        if self.product.running:
            return ''
        return (f'the assistant ended with exit code {self.product.exit_code}: '
                f'{self.product.last_lines()}')

    def new_dialog(self) -> None:
        """A dialog ends by itself, after its follow-up window."""

    def stop(self) -> None:
        """See :class:`System`."""
        if self.product is not None:
            self.product.stop()
            self.product.kill()


class Peer:
    """A program that talks JSON lines: ``{"event": "ready" | "heard" | "reply", ...}`` from it.

    It gets the line ``new`` for a new dialog, and ends when its input ends.

    Args:
        command: program and arguments.
        log: where what it says beside that goes.
        without: environment variables that it does not inherit.
    """

    wakes = False

    def __init__(self, command: Sequence[str], log: Path, without: Sequence[str] = ()) -> None:
        self._command = list(command)
        self._log = log
        self._environment = {k: v for k, v in os.environ.items() if k not in without}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self.events: list[dict[str, Any]] = []

    def start(self, devices: Mapping[str, str]) -> None:
        """See :class:`System`."""
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment | dict(devices), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                preexec_fn=terminate_with_parent)
        self._reader = threading.Thread(target=self._read, name='peer', daemon=True)
        self._reader.start()

    def wait_ready(self, ears: Ears | None = None) -> None:
        """See :class:`System`."""
        if not self._ready.wait(PEER_READY_S):
            raise NotComing(f'{self._name} was not ready within {PEER_READY_S:.0f} s')
        if not any(event.get('event') == 'ready' for event in self.events):
            raise NotComing(self.problem() or f'{self._name} closed its output; see {self._log}')

    def problem(self) -> str:
        """See :class:`System`."""
        assert self._process is not None
        code = self._process.poll()
        return '' if code is None else f'{self._name} ended with exit code {code}; see {self._log}'

    def new_dialog(self) -> None:
        """See :class:`System`."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write('new\n')
        self._process.stdin.flush()

    def stop(self) -> None:
        """See :class:`System`."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            stop_process(self._process, 3.0)
        if self._reader is not None:
            self._reader.join(5.0)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def _name(self) -> str:
        return Path(self._command[1]).name

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            event = _event(line)
            self.events.append(event)
            if event.get('event') == 'ready':
                self._ready.set()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._ready.set()


class Served:
    """A peer that asks a language model server of ours, ended with it.

    Args:
        server: the command of the server; its ready event holds its ``url``.
        command: the peer's, without the option ``--llm URL``.
    """

    wakes = False

    def __init__(self, server: Sequence[str], command: Sequence[str], log: Path) -> None:
        self._server = Peer(server, log)
        self._command = list(command)
        self._log = log
        self._peer: Peer | None = None

    def start(self, devices: Mapping[str, str]) -> None:
        """See :class:`System`."""
        self._server.start(devices)
        self._server.wait_ready()
        self._peer = Peer([*self._command, '--llm', self._server.events[0]['url']], self._log,
                          without=('PYTHONPATH', 'LD_LIBRARY_PATH'))
        self._peer.start(devices)

    def wait_ready(self, ears: Ears) -> None:
        """See :class:`System`."""
        assert self._peer is not None
        self._peer.wait_ready(ears)

    def problem(self) -> str:
        """See :class:`System`."""
        return self._server.problem() or (self._peer.problem() if self._peer else '')

    def new_dialog(self) -> None:
        """See :class:`System`."""
        assert self._peer is not None
        self._peer.new_dialog()

    def stop(self) -> None:
        """See :class:`System`."""
        if self._peer is not None:
            self._peer.stop()
        self._server.stop()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the peer said."""
        return self._peer.events if self._peer else []


def _event(line: str) -> dict[str, Any]:
    """A line of a peer; something else than JSON is kept as it is."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return {'event': 'line', 'text': line.rstrip()}
    return event if isinstance(event, dict) else {'event': 'line', 'text': line.rstrip()}
