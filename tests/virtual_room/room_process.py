# SPDX-License-Identifier: Apache-2.0
"""The air of the virtual room, in a process of its own: speaker → echo path + user + noise →
microphone.

One loop in blocks of 20 ms at 16 kHz. Commands arrive as JSON lines on stdin, answers and one
status line per 0.5 s leave on stdout. Sample k of ``speaker.wav`` and sample k of ``mic.wav``
belong to the same instant, ``t0_s + k / 16000`` Unix time.
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import json
import math
from pathlib import Path
import queue
import signal
import sys
import threading
import time
from typing import IO
import wave

import numpy as np
import soundfile

from virtual_room.acoustics import (
    BlockConvolver,
    convolved,
    DriftingDelay,
    from_db,
    Loop,
    pink_noise,
    prepared_rir,
    rms_dbfs,
    speech_level_dbfs,
    synthetic_rir,
    ThirdBand,
    voiced_span,
)
from virtual_room.pa_simple import Player, Recorder
from virtual_room.pulse import MICROPHONE, SPEAKER

RATE = 16000
BLOCK = 320


@dataclass
class RoomSettings:
    """How the room sounds."""

    out: str
    'folder for mic.wav and speaker.wav'
    seed: int = 1
    'of both impulse responses and the noise'
    rir: str = ''
    'WAV with the impulse response of echo and user; empty: synthetic'
    noise: str = ''
    'WAV played in a loop; empty: pink noise'
    snr_db: float = 30.0
    'user over noise at the microphone'
    user_dbfs: float = -26.0
    'level of the user at the microphone while speaking'
    echo_db: float = -8.0
    'loss from the speaker to the microphone'
    delay_s: float = 0.080
    'from the speaker device to the microphone device, 0.06 to 0.5'
    drift_ppm: float = 50.0
    'how fast the delay wanders'


def read_wav(path: str) -> np.ndarray:
    """Mono float32 at 16 kHz, whatever the file has."""
    samples, rate = soundfile.read(path, dtype='float32', always_2d=True)
    mono = samples.mean(axis=1)
    if rate == RATE:
        return mono
    import soxr
    return soxr.resample(mono, rate, RATE).astype(np.float32)


class Voice:
    """What the user is about to say, as it will be at the microphone."""

    def __init__(
        self, identity: str, dry: np.ndarray, response: np.ndarray, level_dbfs: float
    ) -> None:
        dry = dry * from_db(level_dbfs - speech_level_dbfs(dry, RATE))
        direct = int(np.argmax(np.abs(response)))
        start, end = voiced_span(dry, RATE)
        self.identity = identity
        self.voiced = (start + direct, end + direct)
        self.wet = convolved(dry, response)
        self.position = 0

    def take(self, count: int) -> np.ndarray:
        part = self.wet[self.position:self.position + count]
        self.position += count
        return np.pad(part, (0, count - part.size))

    @property
    def done(self) -> bool:
        return self.position >= self.wet.size


class TimeBase:
    """Unix time of the speaker's samples.

    PulseAudio's null sink hands a block of sound to its monitor at the moment when the block's
    first sample is played. A block read late says nothing, so the earliest of the last 2 s counts.
    When a stream joins or the machine stalls the sink loses or gains some milliseconds: the
    estimate follows.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=100)
        self._range = (math.inf, -math.inf)
        self.origin_s = 0.0

    def observe(self, first_sample: int, read_s: float) -> None:
        """``first_sample``: index of the first sample of a block; ``read_s``: Unix time at
        which it was read.
        """
        self._recent.append(read_s - first_sample / RATE)
        if self.origin_s:
            self._range = min(self._range[0], self.t0_s), max(self._range[1], self.t0_s)

    def fix_origin(self) -> None:
        """From now on the recordings' sample 0 is at `origin_s`."""
        self.origin_s = self.t0_s

    @property
    def t0_s(self) -> float:
        """Unix time of sample 0, judged by the last 2 s."""
        return min(self._recent)

    def position(self, sample: int) -> int | None:
        """Where ``sample`` belongs in the recordings; None until the origin is fixed."""
        return sample + round((self.t0_s - self.origin_s) * RATE) if self.origin_s else None

    @property
    def wander_ms(self) -> float:
        """How far the estimate moved during the run."""
        return 1e3 * max(0.0, self._range[1] - self._range[0])


class Recording:
    """A 16 kHz mono WAV that grows."""

    def __init__(self, path: Path) -> None:
        self._length = 0
        self._file = wave.open(str(path), 'wb')  # noqa: SIM115 (closed by close)
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)

    def append(self, samples: np.ndarray, position: int | None = None) -> None:
        """Append; with a ``position`` more than 8 ms off the end, close the gap with silence or
        cut the overlap.
        """
        if position is not None and abs(position - self._length) > RATE // 125:
            gap = position - self._length
            samples = np.pad(samples, (gap, 0)) if gap > 0 else samples[-gap:]
        self._length += samples.size
        self._file.writeframesraw(
            (np.clip(samples, -1.0, 1.0) * 32767.0).astype('<i2').tobytes())

    def close(self) -> None:
        self._file.close()


class Room:
    """The loop and its state; one thread runs it, another hands voices in through a queue."""

    def __init__(self, settings: RoomSettings, output: IO[str]) -> None:
        self.settings = settings
        self.voices: queue.Queue[Voice] = queue.Queue(maxsize=64)
        self.stop = threading.Event()
        self._output = output
        self._speaking: Voice | None = None
        self._response = self._make_response(settings.seed, settings.rir)
        self.user_response = self._make_response(settings.seed + 1, settings.rir)
        self._noise = self._make_noise(settings)
        self._time = TimeBase()
        self._lost = 0
        self._blocks = 0
        self._loop_s: deque[float] = deque(maxlen=50)
        self._silence = np.zeros(BLOCK, np.float32)

    @staticmethod
    def _make_response(seed: int, path: str) -> np.ndarray:
        return prepared_rir(read_wav(path)) if path else synthetic_rir(seed, RATE)

    @staticmethod
    def _make_noise(settings: RoomSettings) -> Loop:
        noise = (
            read_wav(settings.noise)
            if settings.noise
            else pink_noise(20.0, RATE, settings.seed + 2)
        )
        level = settings.user_dbfs - settings.snr_db
        return Loop(noise * from_db(level - rms_dbfs(noise)))

    def say(self, message: dict[str, object]) -> None:
        """Queue a sound file for the user's mouth."""
        level = self.settings.user_dbfs + float(str(message.get('gain_db', 0.0)))
        self.voices.put_nowait(Voice(str(message['id']), read_wav(str(message['path'])),
                                     self.user_response, level))

    def send(self, **fields: object) -> None:
        self._output.write(json.dumps(fields) + '\n')
        self._output.flush()

    def run(self) -> None:
        speaker = Recorder(f'{SPEAKER}.monitor', 3 * RATE, 3 * BLOCK)
        microphone = Player(MICROPHONE, RATE, BLOCK, buffer=6 * BLOCK)
        try:
            self._settle(speaker, microphone)
            self._work(speaker, microphone)
        finally:
            microphone.close()
            speaker.close()

    def _settle(self, speaker: Recorder, microphone: Player) -> None:
        """Run empty until both ends are in step.

        A null sink without clients has rendered up to 2 s ahead: that is read away first.
        """
        paced, last_s = 0, time.monotonic()
        for _ in range(1000):
            speaker.read()
            now_s = time.monotonic()
            paced = paced + 1 if 0.5 < (now_s - last_s) * RATE / BLOCK < 2.0 else 0
            last_s = now_s
            if paced == 10:
                break
        for k in range(40):
            speaker.read()
            microphone.write(self._silence)
            if k >= 15:
                self._loop_s.append(self._loop_latency(microphone))

    @staticmethod
    def _loop_latency(microphone: Player) -> float:
        """From the speaker to the microphone for the first sample of the block just written."""
        return microphone.latency_s() - BLOCK / RATE + ThirdBand.delay_s

    def _work(self, speaker: Recorder, microphone: Player) -> None:
        loop = float(np.median(self._loop_s))
        delay = DriftingDelay(
            self.settings.delay_s - loop, RATE, drift_ppm=self.settings.drift_ppm
        )
        echo = BlockConvolver(self._response * from_db(self.settings.echo_db), BLOCK)
        third = ThirdBand()
        out = Path(self.settings.out)
        speaker_wav, mic_wav = Recording(out / 'speaker.wav'), Recording(out / 'mic.wav')
        mic_wav.append(np.zeros(round(loop * RATE), np.float32))
        count, busy, slip = 0, time.process_time(), 0.0
        first_loop = loop
        try:
            while not self.stop.is_set():
                played = third.process(speaker.read())
                self._time.observe(count - round(third.delay_s * RATE), time.time())
                heard = echo.process(delay.process(played)) + self._noise.take(BLOCK)
                heard = np.clip(heard + self._user(count, loop), -1.0, 1.0)
                speaker_wav.append(played, self._time.position(count))
                mic_wav.append(heard, self._time.position(count + round(loop * RATE)))
                self._hand_over(heard, speaker, microphone)
                count += BLOCK
                if count == RATE // 2:
                    self._time.fix_origin()
                    self.send(
                        event='ready',
                        loop_s=loop,
                        delay_s=delay.delay_s + loop,
                        t0_s=self._time.origin_s,
                    )
                if count % (25 * BLOCK) == 0:
                    loop = float(np.median(self._loop_s))
                    slip = max(slip, abs(loop - first_loop))
                    self.send(event='status', time_s=self._time.t0_s + count / RATE, loop_s=loop,
                              lost=self._lost, speaker_dbfs=round(rms_dbfs(played), 1),
                              mic_dbfs=round(rms_dbfs(heard), 1))
        finally:
            speaker_wav.close()
            mic_wav.close()
            self.send(event='end', t0_s=self._time.origin_s, samples=count, lost=self._lost,
                      wander_ms=self._time.wander_ms, slip_ms=1e3 * slip,
                      cpu=(time.process_time() - busy) / max(count / RATE, 1e-3))

    def _hand_over(self, heard: np.ndarray, speaker: Recorder, microphone: Player) -> None:
        """Give the microphone its block, or lose it when the machine stalled so long that the
        room lags behind.
        """
        self._blocks += 1
        if self._blocks % 5 == 0 and speaker.latency_s() > 0.100:
            self._lost += 1
            return
        microphone.write(heard)
        if self._blocks % 5 == 0:
            self._loop_s.append(self._loop_latency(microphone))

    def _user(self, sample: int, loop_s: float) -> np.ndarray:
        if self._speaking is None and not self.voices.empty():
            self._speaking = self.voices.get_nowait()
            begin = self._time.t0_s + sample / RATE + loop_s
            first, last = self._speaking.voiced
            self.send(event='say', id=self._speaking.identity, start_s=begin + first / RATE,
                      end_s=begin + last / RATE)
        if self._speaking is None:
            return self._silence
        sound = self._speaking.take(BLOCK)
        if self._speaking.done:
            self._speaking = None
        return sound


def _obey(room: Room) -> None:
    """Read commands until stdin ends: the end of the owner is the end of the room."""
    try:
        for line in sys.stdin:
            message = json.loads(line)
            if message['command'] == 'stop':
                break
            try:
                room.say(message)
            except (ValueError, OSError, RuntimeError, queue.Full) as error:
                room.send(
                    event='refused',
                    id=message.get('id'),
                    reason=str(error) or 'too many sounds queued',
                )
    finally:
        room.stop.set()


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    room = Room(RoomSettings(**json.loads(sys.argv[1])), sys.stdout)
    threading.Thread(target=_obey, args=(room,), name='commands', daemon=True).start()
    try:
        room.run()
    except (RuntimeError, OSError, ValueError) as error:
        room.send(event='broken', reason=str(error))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
