# SPDX-License-Identifier: Apache-2.0
"""The virtual room as its user sees it: a context manager with devices, a mouth and two
recordings.
"""
from __future__ import annotations

from dataclasses import asdict, replace
import itertools
import json
import os
from pathlib import Path
import subprocess
import sys
import threading
from typing import Any

from virtual_room.processes import be_hardware, stop_process
from virtual_room.pulse import PulseServer, RoomError
from virtual_room.room_process import RoomSettings


class Said:
    """A sound on its way to the microphone; its times are known once it begins."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._begun = threading.Event()
        self._times: tuple[float, float] = (0.0, 0.0)
        self._refused = ''

    def begin(self, start_s: float, end_s: float) -> None:
        self._times = (start_s, end_s)
        self._begun.set()

    def refuse(self, reason: str) -> None:
        self._refused = reason
        self._begun.set()

    def times(self, timeout_s: float = 30.0) -> tuple[float, float]:
        """Unix times of the first and last voiced sample as they enter the microphone.

        Known when the sound begins, not when it has ended. Raises RoomError when that does not
        happen in time.
        """
        if not self._begun.wait(timeout_s):
            raise RoomError(f'the room did not say {self.identity} within {timeout_s:.0f} s')
        if self._refused:
            raise RoomError(f'the room cannot say {self.identity}: {self._refused}')
        return self._times


class VirtualRoom:
    """Devices, echo, noise and a user's mouth, from ``__enter__`` to ``__exit__``.

    ``environment()`` is for every process that shall use the room's devices. After the end `t0_s`
    is the Unix time of the first sample of both recordings and `summary` what the room says about
    itself.
    """

    def __init__(self, settings: RoomSettings) -> None:
        self.settings = replace(settings, out=str(Path(settings.out).resolve()))
        self.pulse = PulseServer()
        self.t0_s = 0.0
        self.summary: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._broken = ''
        self._said: dict[str, Said] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> VirtualRoom:
        Path(self.settings.out).mkdir(parents=True, exist_ok=True)
        self.pulse.start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def mic_wav(self) -> Path:
        return Path(self.settings.out) / 'mic.wav'

    @property
    def speaker_wav(self) -> Path:
        return Path(self.settings.out) / 'speaker.wav'

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """Environment variables that make the room's devices the default ones."""
        return self.pulse.environment()

    def say(self, wav: Path | str, gain_db: float = 0.0) -> Said:
        """Let the user say a sound file (any rate), after what is still being said; returns at
        once.
        """
        said = Said(f'{next(self._numbers)}-{Path(wav).stem}')
        with self._lock:
            self._said[said.identity] = said
        self._command(
            command='say', id=said.identity, path=str(Path(wav).resolve()), gain_db=gain_db
        )
        return said

    def rejoin(self) -> None:
        """After a device or the sound server was away: the air of the room anew.

        The recordings begin again, and `t0_s` with them.
        """
        if self._process is not None:
            self._end_process(self._process)
        self._ready.clear()
        self._broken, self.summary = '', {}
        self._start()

    def close(self) -> None:
        """Finish the recordings and end everything; safe to call twice."""
        if self._process is not None:
            self._end_process(self._process)
            self._process = None
        self.pulse.stop()

    def _start(self) -> None:
        environment = os.environ | self.environment()
        environment['PYTHONPATH'] = os.pathsep.join(
            [str(Path(__file__).parent.parent), environment.get('PYTHONPATH', '')]
        ).rstrip(os.pathsep)
        environment |= {'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'virtual_room.room_process', json.dumps(asdict(self.settings))],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=be_hardware)
        self._reader = threading.Thread(target=self._read, name='room', daemon=True)
        self._reader.start()
        if not self._ready.wait(30.0):
            raise RoomError('the virtual room was not ready within 30 s')
        if self._broken:
            raise RoomError(f'the virtual room broke: {self._broken}')

    def _command(self, **fields: object) -> None:
        if self._broken:
            raise RoomError(f'the virtual room broke: {self._broken}')
        if self._process is None or self._process.stdin is None:
            raise RoomError('the virtual room is closed')
        with self._lock:
            self._process.stdin.write(json.dumps(fields) + '\n')
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._handle(json.loads(line))
        if not self.summary:
            self._fail('its process ended')

    def _handle(self, message: dict[str, Any]) -> None:
        kind = message.pop('event')
        if kind == 'ready':
            self.t0_s = message['t0_s']
            self.status = message
            self._ready.set()
        elif kind == 'status':
            self.status = message
        elif kind == 'say':
            self._said.pop(message['id']).begin(message['start_s'], message['end_s'])
        elif kind == 'refused':
            self._said.pop(message['id']).refuse(message['reason'])
        elif kind == 'end':
            self.t0_s, self.summary = message['t0_s'], message
        elif kind == 'broken':
            self._fail(message['reason'])

    def _fail(self, reason: str) -> None:
        self._broken = self._broken or reason
        self._ready.set()
        for said in list(self._said.values()):
            said.refuse(self._broken)

    def _end_process(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None and process.stdin is not None:
            try:
                process.stdin.close()
                process.wait(5.0)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                stop_process(process, timeout_s=2.0)
        if self._reader is not None:
            self._reader.join(5.0)
        if process.stdout is not None:
            process.stdout.close()
