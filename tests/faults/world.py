# SPDX-License-Identifier: Apache-2.0
"""The room, the user, a robot's program and the assistant that is to be broken."""
from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time

import psutil
from virtual_room.product import Product
from virtual_room.robot import Robot
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings
from virtual_room.script import VOICE, WAKE
from virtual_room.voices import SyntheticUser, Voices

from faults.census import Census, command_of
from faults.evidence import Evidence, Trouble
from faults.fake_ollama import FakeOllamaServer
from faults.places import make_config
from faults.records import RecordKeeper
from faults.watch import Watch
from va_common.ports import PORTS
from va_interfaces.srv import GetPids

QUESTION = 'Tell me a story about a robot.'
READY_S = 120.0
STOP_S = 20.0
RESTED_S = 75.0
"""Back for a minute: its trouble is forgotten."""
DELIVER_S, STATUS_S = 30.0, 90.0


@dataclass(frozen=True)
class Stop:
    """How an assistant ended."""

    exit_code: int | None
    took_s: float
    left: list[str]
    'processes, and shared-memory segments that DDS should not have used'


class Assistant:
    """One run of the product, with its files and what is known of its processes."""

    def __init__(self, world: World, changes: dict[str, str], environment: dict[str, str]) -> None:
        self._world = world
        self.folder = Path(tempfile.mkdtemp(prefix='assistant_', dir=world.folder))
        self.offset = world.offset
        self.log_folder = Path(changes.get('logger.log_dir', str(self.folder / 'log')))
        self.config = make_config(self.folder, self.offset, changes)
        self.product = Product(self.config, world.room.environment() | environment,
                               self.folder / 'output.log')
        self.census = Census(self.product)
        self.mark = 0
        self.processes_when_idle = 0

    @property
    def running(self) -> bool:
        return self.product.running

    def output(self) -> str:
        log = self.product.log
        return log.read_text(errors='replace') if log.exists() else ''

    def stop(self, number: int = signal.SIGINT) -> Stop:
        """A signal to main; waits for its end."""
        self.census.take()
        begun = time.monotonic()
        process = self.product.process
        assert process is not None
        if process.poll() is None:
            process.send_signal(number)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            code = None
        took_s = time.monotonic() - begun
        return Stop(code, took_s, self.left())

    def left(self, timeout_s: float = 3.0) -> list[str]:
        """What is left of it after its end."""
        return self.census.left_processes(timeout_s) + self.census.used_segments()

    def kill(self) -> None:
        self.product.kill()


class World:
    """Context manager; everything in it ends with it."""

    def __init__(self, folder: Path, offset: int) -> None:
        self.folder = folder
        self.offset = offset
        self.assistant: Assistant | None = None
        self.config = ''
        self.restarts: dict[str, list[float]] = {}
        self.stops: list[str] = []
        'what was wrong with stops between the cases'
        self.notes: list[str] = []
        'what is worth knowing of the present case'
        self._keeper: RecordKeeper | None = None
        self._cases = 0

    def __enter__(self) -> World:
        self.voices = Voices(tell=lambda line: print(line, flush=True))
        self.voices.prepare((text, VOICE) for text in (WAKE, QUESTION))
        self.room = VirtualRoom(RoomSettings(out=str(self.folder / 'room'))).__enter__()
        self.watch = Watch().__enter__()
        self.robot = Robot('fault_robot').__enter__()
        self.user = SyntheticUser(self.room, self.voices)
        self.ollama = FakeOllamaServer()
        self.ollama.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.assistant is not None:
            self.assistant.kill()
        self.ollama.stop()
        self.robot.__exit__()
        self.watch.__exit__()
        self.room.close()

    # The assistant ----------------------------------------------------------------------------

    def ready(self, config: str, changes: dict[str, str]) -> Assistant:
        """The idle assistant of this configuration; another one is stopped, a new one started."""
        if self.assistant is not None and (self.config != config or not self.assistant.running):
            self.put_away()
        if self.assistant is None:
            self.start(changes)
            self.config = config
            self.wait_ready()
        assert self.assistant is not None
        return self.assistant

    def start(self, changes: dict[str, str] | None = None,
              environment: dict[str, str] | None = None) -> Assistant:
        """Start an assistant without waiting for it."""
        if self.assistant is not None:
            self.put_away()
        self.restarts.clear()
        self.config = 'own'
        self.assistant = Assistant(self, changes or {}, environment or {})
        self.assistant.mark = self.watch.mark()
        self.assistant.product.start()
        return self.assistant

    def wait_ready(self) -> None:
        """Until it is idle for the first time. Raises Trouble."""
        assistant = self.require()
        seen = self.watch.wait_state(('idle', 'fatal'), READY_S, assistant.mark,
                                     lambda: assistant.running)
        if seen is None or seen.message.name != 'idle':
            raise Trouble(f'it did not get ready: {assistant.product.last_lines(2)}')
        assistant.processes_when_idle = len(assistant.census.take())

    def require(self) -> Assistant:
        if self.assistant is None:
            raise Trouble('no assistant runs')
        return self.assistant

    def put_away(self) -> None:
        """Stop the assistant; what is wrong with that is kept for the report."""
        assistant, self.assistant = self.assistant, None
        if assistant is None:
            return
        if assistant.running:
            stop = assistant.stop()
            if stop.exit_code != 0:
                self.stops.append(f'stop: exit code {stop.exit_code} after {stop.took_s:.1f} s')
            self.stops += [f'left after a stop: {name}' for name in stop.left]
        assistant.kill()

    def pids(self) -> dict[str, int]:
        """The processes by name, main too; as loader/get_pids tells."""
        assistant = self.require()
        answer = self.robot.call(GetPids, 'loader/get_pids')
        pids = dict(zip(answer.names, answer.pids, strict=True))
        assert assistant.product.process is not None
        main = psutil.Process(assistant.product.process.pid)
        forkers = [p.pid for p in main.children() if 'va_loader.forker' in command_of(p)]
        if forkers:
            pids['forker'] = forkers[0]
        return pids | {'main': main.pid}

    def port(self, name: str) -> int:
        return PORTS[name] + self.offset

    # Records ----------------------------------------------------------------------------------

    def keep_records(self) -> None:
        """From now on records are written through all that happens."""
        self._cases += 1
        self._keeper = RecordKeeper(self.robot.node, f'case{self._cases}')
        self._keeper.start()

    def finish_records(self, evidence: Evidence) -> None:
        """Compare what was promised with the disk; once per case."""
        keeper, self._keeper = self._keeper, None
        if keeper is None or self.assistant is None:
            return
        found = keeper.end(self.assistant.log_folder, DELIVER_S if self.assistant.running else 0.5)
        evidence.acknowledged_records += found.acknowledged
        evidence.lost_records += found.lost
        evidence.duplicated_records += found.duplicated
        evidence.require(not found.disordered, f'{found.disordered} records out of order')

    def drop_records(self) -> None:
        """End the writer of a case that did not get so far."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and self.assistant is not None:
            keeper.end(self.assistant.log_folder, 0.5)

    # Budget of restarts -----------------------------------------------------------------------

    def note_restarts(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.restarts.setdefault(name, []).append(time.monotonic())

    def is_rested(self, names: tuple[str, ...]) -> bool:
        """Whether the product's pause before restarting each of them is its first again."""
        since = time.monotonic() - RESTED_S
        return all(moment < since for name in names for moment in self.restarts.get(name, ()))

    def may_restart(self, names: tuple[str, ...], limit: int = 2, window_s: float = 65.0) -> bool:
        """Whether the product's budget has room for one more restart of each of them."""
        since = time.monotonic() - window_s
        return all(sum(moment > since for moment in self.restarts.get(name, ())) < limit
                   for name in names)

    def status(self) -> str:
        """What ``./va status`` prints."""
        try:
            done = subprocess.run([sys.executable, '-m', 'va_loader.cli', 'status'], text=True,
                                  capture_output=True, timeout=STATUS_S, env=os.environ)
        except subprocess.TimeoutExpired as error:
            raise Trouble(f'va status did not end within {STATUS_S:.0f} s') from error
        return done.stdout + done.stderr
