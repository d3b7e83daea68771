# SPDX-License-Identifier: Apache-2.0
"""A private PulseAudio server with a virtual speaker and a virtual microphone.

Nothing outside its temporary directory is read or written, it works as root and as a user, it does
not end when idle, uses no shared memory, and it is killed by the kernel when its owner dies.
"""
from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import tempfile
import time

from virtual_room.processes import be_hardware, stop_process, try_priority

SPEAKER = 'va_speaker'
MICROPHONE = 'va_mic'

_SCRIPT = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={directory}/native
load-module module-null-sink sink_name={speaker} rate={speaker_rate} channels=2 \
sink_properties=device.description={speaker}
load-module module-null-sink sink_name={microphone} rate={microphone_rate} channels=1 \
channel_map=mono sink_properties=device.description={microphone}
set-default-sink {speaker}
set-default-source {microphone}.monitor
"""

# PortAudio lists the devices named here and nothing else: a real sound card cannot slip in.
_ALSA_CONFIG = """\
pcm.!default {
    type pulse
    hint.description "Virtual room"
}
pcm.pulse {
    type pulse
    hint.description "Virtual room"
}
ctl.!default {
    type pulse
}
"""


class RoomError(RuntimeError):
    """The virtual room cannot be made or has broken; the message says what to do."""


class PulseServer:
    """Context manager: the server runs from ``__enter__`` to ``__exit__``.

    ``speaker_rate`` and ``microphone_rate`` are the native rates of the two devices in Hz. Raises
    `RoomError` when PulseAudio is not installed or does not come up within 10 s.
    """

    def __init__(self, speaker_rate: int = 48000, microphone_rate: int = 16000) -> None:
        self.speaker_rate = speaker_rate
        self.microphone_rate = microphone_rate
        self.directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PulseServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.directory = _short_temporary_directory()
        self._write_files(self.directory)
        try:
            self._launch(self.directory)
        except RoomError:
            self.stop()
            raise

    def _launch(self, directory: Path) -> None:
        program = shutil.which('pulseaudio')
        if program is None:
            raise RoomError('the virtual room needs PulseAudio; install it with: '
                            'sudo apt-get install pulseaudio libasound2-plugins')
        log = (directory / 'pulseaudio.log').open('ab')
        with log:
            self._process = subprocess.Popen(
                [
                    program,
                    '-n',
                    '-F',
                    str(directory / 'room.pa'),
                    '--daemonize=no',
                    '--use-pid-file=no',
                    '--exit-idle-time=-1',
                    '--disable-shm=yes',
                    '--high-priority=yes',
                    '--realtime=yes',
                    '--log-target=stderr',
                    '--log-level=notice',
                ],
                env=self._server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=be_hardware,
            )
        try:
            self._wait_until_up(time.monotonic() + 10.0)
            try_priority(self._process.pid)
        except RoomError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove its files; safe to call twice."""
        if self._process is not None:
            stop_process(self._process, timeout_s=3.0)
            self._process = None
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def environment(self) -> dict[str, str]:
        """Environment that sends every PulseAudio, ALSA and PortAudio client to this server."""
        assert self.directory is not None
        return {
            'PULSE_SERVER': f'unix:{self.directory}/native',
            'PULSE_COOKIE': f'{self.directory}/cookie',
            'PULSE_CLIENTCONFIG': f'{self.directory}/client.conf',
            'ALSA_CONFIG_PATH': f'{self.directory}/asound.conf',
        }

    def kill(self) -> None:
        """Pull the plug: both devices vanish at once (for fault tests)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5.0)

    def restart(self) -> None:
        """Start the server again after `kill`, at the same address."""
        assert self.directory is not None
        for name in ('native', 'pid'):
            (self.directory / name).unlink(missing_ok=True)
        self._launch(self.directory)

    def unplug(self, device: str) -> None:
        """Take `SPEAKER` or `MICROPHONE` away; whoever uses it loses its stream."""
        for line in self._pactl('list', 'short', 'modules').splitlines():
            number, name, argument = (line.split('\t') + ['', ''])[:3]
            if name == 'module-null-sink' and f'sink_name={device}' in argument:
                self._pactl('unload-module', number)

    def plug(self, device: str) -> None:
        """Bring a device back and make it the default again, as sound servers do."""
        rate, shape = ((self.speaker_rate, ['channels=2']) if device == SPEAKER else
                       (self.microphone_rate, ['channels=1', 'channel_map=mono']))
        self._pactl('load-module', 'module-null-sink', f'sink_name={device}', f'rate={rate}',
                    *shape, f'sink_properties=device.description={device}')
        if device == SPEAKER:
            self._pactl('set-default-sink', device)
        else:
            self._pactl('set-default-source', f'{device}.monitor')

    def mute(self, kind: str, name: str, muted: bool) -> None:
        """Mute a ``sink`` or a ``source``."""
        self._pactl(f'set-{kind}-mute', name, str(int(muted)))

    def _pactl(self, *arguments: str) -> str:
        environment = os.environ | self.environment() | {'LC_ALL': 'C'}
        done = subprocess.run(['pactl', *arguments], env=environment, timeout=10.0,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RoomError(f'pactl {" ".join(arguments)}: {done.stderr.strip()}')
        return done.stdout

    def _server_environment(self) -> dict[str, str]:
        keep = {
            k: v for k, v in os.environ.items() if not k.startswith(('PULSE_', 'DBUS_', 'ALSA_'))
        }
        directory = str(self.directory)
        return keep | {'XDG_RUNTIME_DIR': directory, 'PULSE_RUNTIME_PATH': directory,
                       'PULSE_STATE_PATH': directory, 'HOME': directory,
                       'XDG_CONFIG_HOME': directory}

    def _write_files(self, directory: Path) -> None:
        (directory / 'room.pa').write_text(_SCRIPT.format(
            directory=directory, speaker=SPEAKER, microphone=MICROPHONE,
            speaker_rate=self.speaker_rate, microphone_rate=self.microphone_rate))
        (directory / 'asound.conf').write_text(_ALSA_CONFIG)
        (directory / 'client.conf').write_text('autospawn = no\nenable-shm = no\n')

    def _wait_until_up(self, deadline: float) -> None:
        assert self.directory is not None and self._process is not None
        environment = os.environ | self.environment()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RoomError(f'PulseAudio ended at once: {self._log_tail()}')
            if (self.directory / 'native').exists() and _answers(environment):
                return
            time.sleep(0.05)
        raise RoomError(f'PulseAudio did not come up within 10 s: {self._log_tail()}')

    def _log_tail(self) -> str:
        assert self.directory is not None
        lines = (self.directory / 'pulseaudio.log').read_text(errors='replace').splitlines()
        return ' | '.join(lines[-3:]) or 'it said nothing'


def _answers(environment: dict[str, str]) -> bool:
    """Whether both devices are there and are the defaults."""
    try:
        info = subprocess.run(['pactl', 'info'], env=environment | {'LC_ALL': 'C'}, timeout=5.0,
                              capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return False
    except FileNotFoundError as error:
        raise RoomError('the virtual room needs pactl; install it with: '
                        'sudo apt-get install pulseaudio-utils') from error
    return SPEAKER in info.stdout and f'{MICROPHONE}.monitor' in info.stdout


def _short_temporary_directory() -> Path:
    """A new directory with a path short enough for a Unix socket (108 bytes)."""
    base = Path(tempfile.gettempdir())
    base = base if len(str(base)) < 60 else Path('/tmp')
    _remove_orphans(base)
    return Path(tempfile.mkdtemp(prefix=f'va_room_{os.getpid()}_', dir=base))


def _remove_orphans(base: Path) -> None:
    """Folders of rooms whose owner was killed."""
    for folder in base.glob('va_room_*_*'):
        owner = folder.name.split('_')[2]
        if owner.isdigit() and not Path(f'/proc/{owner}').exists():
            shutil.rmtree(folder, ignore_errors=True)
