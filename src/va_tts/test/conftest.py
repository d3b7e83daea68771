# SPDX-License-Identifier: Apache-2.0
"""A private PulseAudio with a recorded null sink, for the tests that play for real."""

from collections.abc import Iterator
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest

from va_common.testing import wait_for

# Tests import tts_fakes; pytest imports them without touching the path.
sys.path.insert(0, str(Path(__file__).parent))

RATE = 48_000
SCRIPT = """
load-module module-native-protocol-unix
load-module module-null-sink sink_name=mic rate=48000 channels=1
load-module module-null-sink sink_name=speaker rate=48000 channels=1
set-default-sink speaker
set-default-source mic.monitor
"""


class PrivatePulse:
    """A PulseAudio server of one's own; it uses nothing of the user's and ends with the test."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix='va_tts_'))
        (self.folder / 'server.pa').write_text(SCRIPT)
        self.environment = {
            **os.environ, 'XDG_RUNTIME_DIR': str(self.folder), 'HOME': str(self.folder),
            'PULSE_SERVER': f'unix:{self.folder}/pulse/native'}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ['pulseaudio', '-n', '-F', str(self.folder / 'server.pa'), '--daemonize=no',
             '--exit-idle-time=-1', '--use-pid-file=no', '--disable-shm=yes'],
            env=self.environment, stderr=subprocess.DEVNULL)
        wait_for(self._is_up, 10.0, 'PulseAudio is up')

    def _is_up(self) -> bool:
        answer = subprocess.run(
            ['pactl', 'list', 'short', 'sinks'], env=self.environment, capture_output=True)
        return b'speaker' in answer.stdout

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(5.0)
            self._process = None

    def unplug(self) -> None:
        """Pull the speaker out."""
        listed = self._pactl('list', 'short', 'modules')
        module, = (line.split()[0] for line in listed.splitlines() if 'sink_name=speaker' in line)
        self._pactl('unload-module', module)

    def plug(self) -> None:
        """Put it in again."""
        self._pactl('load-module', 'module-null-sink', 'sink_name=speaker', 'rate=48000',
                    'channels=1')
        self._pactl('set-default-sink', 'speaker')

    def freeze(self, frozen: bool) -> None:
        """Stop the server, or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _pactl(self, *arguments: str) -> str:
        return subprocess.run(['pactl', *arguments], env=self.environment, check=True, text=True,
                              capture_output=True, timeout=10).stdout

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def enter(self) -> None:
        """Let PortAudio of this process use the server."""
        for name in ('XDG_RUNTIME_DIR', 'PULSE_SERVER'):
            os.environ[name] = self.environment[name]
        import sounddevice

        sounddevice._terminate()
        sounddevice._initialize()


class Recorder:
    """What the sink plays, with the time at which each block was recorded."""

    def __init__(self, pulse: PrivatePulse, latency_ms: int = 5) -> None:
        self._process = subprocess.Popen(
            ['parec', '-d', 'speaker.monitor', f'--rate={RATE}', '--channels=1',
             '--format=s16le', f'--latency-msec={latency_ms}'],
            env=pulse.environment, stdout=subprocess.PIPE)
        self._lock = threading.Lock()
        self._blocks: list[tuple[float, np.ndarray]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._blocks, 5.0, 'the recorder records')

    def _run(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read1(4096):
            block = np.frombuffer(data[:len(data) // 2 * 2], '<i2')
            with self._lock:
                self._blocks.append((time.time(), block))

    def clear(self) -> None:
        """Forget all once the sink is quiet: it may still hold the end of an earlier sound."""
        wait_for(lambda: len(self.sound()) > RATE // 2
                 and not np.any(np.abs(self.sound()[-RATE // 2:].astype(np.int32)) > 200),
                 10.0, 'half a second of silence')
        with self._lock:
            self._blocks = []

    def sound(self) -> np.ndarray:
        """All that was recorded, int16 (n,) at 48 kHz."""
        with self._lock:
            return np.concatenate([block for _, block in self._blocks] or [np.zeros(0, np.int16)])

    def loud_times(self, threshold: int = 200) -> list[float]:
        """When loud blocks were recorded, in Unix seconds."""
        with self._lock:
            return [at for at, block in self._blocks
                    if len(block) and np.abs(block.astype(np.int32)).max() > threshold]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(5.0)
        self._thread.join(5.0)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope='session')
def pulse() -> Iterator[PrivatePulse]:
    server = PrivatePulse()
    try:
        server.start()
        server.enter()
        yield server
    finally:
        server.close()


@pytest.fixture
def recorder(pulse: PrivatePulse) -> Iterator[Recorder]:
    recorder = Recorder(pulse)
    yield recorder
    recorder.close()
