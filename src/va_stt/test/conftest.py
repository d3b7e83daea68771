# SPDX-License-Identifier: Apache-2.0
"""Real voices, real models, a private PulseAudio server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import hashlib
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest
import soxr

from va_common.model_catalogue import model_path
from va_common.testing import wait_for
from va_stt.silero_vad import SileroVad
from va_stt.smart_turn import SmartTurn
from va_stt.whisper_cuda import WhisperEngine

sys.path.insert(0, str(Path(__file__).parent))  # stt_bench

VOICES = ('af_heart', 'am_michael', 'bf_emma')
CACHE = Path(tempfile.gettempdir()) / f'va-test-speech-{os.getuid()}'

Say = Callable[..., NDArray[np.float32]]


@pytest.fixture(scope='session')
def say() -> Say:
    """Speak a text with Kokoro: float32 (n,) at 16 kHz, silence around it trimmed. Cached."""
    engine: list[Any] = []

    def speak(text: str, voice: str = 'af_heart') -> NDArray[np.float32]:
        CACHE.mkdir(mode=0o700, exist_ok=True)
        name = hashlib.sha256(f'{voice}|{text}'.encode()).hexdigest()[:24]
        path = CACHE / f'{name}.npy'
        if not path.exists():
            if not engine:
                engine.append(_kokoro())
            sound, rate = engine[0].create(text, voice=voice, lang='en-us')
            partial = CACHE / f'{name}.{os.getpid()}.npy'
            np.save(partial, _trimmed(soxr.resample(sound, rate, 16000).astype(np.float32)))
            partial.rename(path)
        return np.load(path)

    return speak


def _kokoro() -> Any:
    from kokoro_onnx import Kokoro
    voices = CACHE / 'voices.npz'
    folder = model_path('kokoro-voices')
    np.savez(voices, **{v: np.fromfile(folder / f'{v}.bin', np.float32).reshape(-1, 1, 256)
                        for v in VOICES})
    return Kokoro(str(model_path('kokoro-onnx', 'kokoro-v1.0.int8.onnx')), str(voices))


def _trimmed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.convolve(np.abs(sound), np.ones(160) / 160, 'same') > 0.004)
    return sound[loud[0]:loud[-1]]


@pytest.fixture(scope='session')
def detector() -> SileroVad:
    return SileroVad(model_path('silero-vad', 'silero_vad.onnx'))


@pytest.fixture(scope='session')
def whisper() -> WhisperEngine:
    return WhisperEngine(model_path('whisper-tiny.en'), 'cpu', 'en', 1, 2)


@pytest.fixture(scope='session')
def smart_turn() -> SmartTurn:
    return SmartTurn(model_path('smart-turn-v3', 'smart-turn-v3.2-cpu.onnx'))


class Pulse:
    """A private PulseAudio server whose default source is the monitor of the sink ``mic``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, 'XDG_RUNTIME_DIR': str(folder), 'HOME': str(folder),
                             'PULSE_SERVER': f'unix:{folder}/native'}
        self.server = self._environment['PULSE_SERVER']
        self.start()

    def start(self) -> None:
        """Start the server, also after :meth:`end`: with a speaker and a microphone."""
        (self._folder / 'native').unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ['pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1', '--disallow-exit',
             '--use-pid-file=no', '--disable-shm=yes',
             '-L', f'module-native-protocol-unix socket={self._folder}/native auth-anonymous=1',
             '-L', 'module-null-sink sink_name=speaker rate=48000'],
            env=self._environment, stderr=subprocess.DEVNULL)
        wait_for(lambda: self._pactl('info').returncode == 0, 10.0, 'PulseAudio answers')
        self._pactl('set-default-sink', 'speaker')
        self.plug()

    def plug(self) -> None:
        """Plug the microphone in."""
        loaded = self._pactl('load-module', 'module-null-sink', 'sink_name=mic', 'rate=48000')
        self._module = loaded.stdout.decode().strip()
        self._pactl('set-default-source', 'mic.monitor')

    def unplug(self) -> None:
        """Pull the microphone out."""
        assert self._pactl('unload-module', self._module).returncode == 0

    def freeze(self, frozen: bool) -> None:
        """Stop the server, or let it go on."""
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _pactl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(['pactl', *arguments], env=self._environment, check=False,
                              capture_output=True, timeout=10)

    def play(self, sound: NDArray[np.float32], rate: int = 16000) -> subprocess.Popen[bytes]:
        """Play a sound into the microphone; returns the player, which ends with the sound."""
        sound_file = self._folder / f'{len(list(self._folder.iterdir()))}.raw'
        sound_file.write_bytes((np.clip(sound, -1, 1) * 32767).astype('<i2').tobytes())
        return subprocess.Popen(
            ['paplay', '--raw', f'--rate={rate}', '--channels=1', '--format=s16le',
             '--device=mic', '--latency-msec=50', str(sound_file)],
            env=self._environment, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        """Kill the server: as when the device is unplugged."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(5)


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulse]:
    folder = Path(tempfile.mkdtemp(prefix='va-pulse-'))
    server = Pulse(folder)
    monkeypatch.setenv('PULSE_SERVER', server.server)
    monkeypatch.setenv('XDG_RUNTIME_DIR', str(folder))
    try:
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)
