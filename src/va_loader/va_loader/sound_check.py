# SPDX-License-Identifier: Apache-2.0
"""Plays a second, records it, and says what was heard. For ``./va doctor``."""

from __future__ import annotations

from dataclasses import dataclass
import threading
from typing import Any, Literal

import numpy as np

from va_common.audio_io import (
    Float32,
    float_to_int16,
    Int16,
    level_dbfs,
    SAMPLE_RATE,
    StreamResampler,
    to_mono,
)
from va_common.errors import AssistantError, ErrorCode
from va_common.level_meter import LevelMeter
from va_common.port_audio import find_device, load_sounddevice

QUIET_S = 0.5
SWEEP_S = 1.0
TAIL_S = 0.5
SWEEP_HZ = (300.0, 3000.0)
SWEEP_DBFS = -26.0
TIMEOUT_S = 8.0
"""PulseAudio may take 2 s to wake a sink, and 2 s more for a source."""
SURE = 8.0
"""Peak of the correlation over its mean size, from which the sweep was heard: noise has 4 to 5."""
SILENT_DBFS = -90.0
MAX_CHANNELS = {'input': 8, 'output': 2}


@dataclass(frozen=True)
class Heard:
    """What the microphone heard of the sweep."""

    room_dbfs: float
    """Before it."""
    sweep_dbfs: float
    """The loudest 0.2 s."""
    delay_s: float | None
    """From the speaker's first sample to the microphone, all buffers included; None: not heard."""
    warnings: tuple[str, ...]

    def problems(self) -> list[str]:
        """What to mend, one line each."""
        if self.sweep_dbfs <= SILENT_DBFS:
            return ['the microphone gives only digital silence: muted, or access refused?']
        return list(self.warnings)

    def sentence(self) -> str:
        """What was heard."""
        room = f'the room at {self.room_dbfs:.0f} dBFS'
        if self.delay_s is None:
            return f'heard {room}, but not the speaker: muted, or headphones?'
        return f'heard {room} and the speaker at {self.sweep_dbfs:.0f} dBFS ' \
               f'after {self.delay_s * 1000:.0f} ms'


def sweep() -> Float32:
    """A rising tone of a second between two silences, soft ends, float32 at 16 kHz."""
    time = np.arange(round(SWEEP_S * SAMPLE_RATE)) / SAMPLE_RATE
    low, high = SWEEP_HZ
    tone = np.sin(2 * np.pi * (low * time + (high - low) / (2 * SWEEP_S) * time ** 2))
    ramp = np.minimum(1.0, np.minimum(time, SWEEP_S - time) / 0.02)
    sound = np.sqrt(2) * 10 ** (SWEEP_DBFS / 20) * tone * ramp
    before, after = (np.zeros(round(s * SAMPLE_RATE)) for s in (QUIET_S, TAIL_S))
    return np.concatenate([before, sound, after]).astype(np.float32)


def judge(recorded: Int16, played: Float32) -> Heard:
    """Find the played sound in a recording that began when it did, both at 16 kHz."""
    meter = LevelMeter()
    step = SAMPLE_RATE // 50
    for first in range(0, len(recorded) - step + 1, step):
        meter.feed(recorded[first:first + step], first / SAMPLE_RATE)
    size = 1 << (len(recorded) + len(played)).bit_length()
    sound = recorded.astype(np.float64) - np.mean(recorded)
    found = np.abs(np.fft.irfft(
        np.fft.rfft(sound, size) * np.conj(np.fft.rfft(played, size)), size))[:SAMPLE_RATE]
    at = int(np.argmax(found))
    sure = float(found[at]) > SURE * (float(found.mean()) + 1e-9)
    window = SAMPLE_RATE // 5
    levels = [level_dbfs(recorded[first:first + window])
              for first in range(0, max(1, len(recorded) - window), window // 2)]
    room = recorded[:round(QUIET_S * SAMPLE_RATE) + (at if sure else 0)]
    return Heard(level_dbfs(room), max(levels), at / SAMPLE_RATE if sure else None,
                 tuple(meter.warnings()))


def listen(input_device: str, output_device: str) -> Heard:
    """Play the sweep and record it, each device at its own rate.

    Raises:
        AssistantError: DEVICE_FAILED or TIMEOUT, UNAVAILABLE without PortAudio.
    """
    sounddevice = load_sounddevice()
    microphone = _device(find_device(input_device, 'input'), 'input')
    speaker = _device(find_device(output_device, 'output'), 'output')
    played = sweep()
    recording = _Recording(_resampled(played, SAMPLE_RATE, speaker.rate),
                           round(len(played) * microphone.rate / SAMPLE_RATE))
    try:
        with sounddevice.InputStream(
                device=microphone.index, samplerate=microphone.rate, dtype='float32',
                channels=microphone.channels, callback=recording.on_input), \
             sounddevice.OutputStream(
                device=speaker.index, samplerate=speaker.rate, dtype='float32',
                channels=speaker.channels, callback=recording.on_output):
            recording.wait()
    except sounddevice.PortAudioError as error:
        message = f'{microphone.name!r} and {speaker.name!r}: cannot be used ({error})'
        raise AssistantError(ErrorCode.DEVICE_FAILED, message) from error
    sound = _resampled(recording.sound(), microphone.rate, SAMPLE_RATE)
    return judge(float_to_int16(sound), played)


@dataclass(frozen=True)
class _Device:
    index: int
    name: str
    rate: int
    channels: int


def _device(index: int, kind: Literal['input', 'output']) -> _Device:
    about = load_sounddevice().query_devices(index)
    channels = min(int(about[f'max_{kind}_channels']), MAX_CHANNELS[kind])
    return _Device(index, str(about['name']), int(about['default_samplerate']), channels)


def _resampled(sound: Float32, rate: int, to_rate: int) -> Float32:
    return StreamResampler(rate, to_rate).process(sound, last=True).astype(np.float32)


class _Recording:
    """What the call-backs of both streams share: recording begins with the first sound played."""

    def __init__(self, played: Float32, wanted: int) -> None:
        self._played = played
        self._wanted = wanted
        self._position = 0
        self._parts: list[Float32] = []
        self._done = threading.Event()

    def on_output(self, out: Float32, frames: int, _times: Any, _status: Any) -> None:
        out[:] = 0.0
        if self._parts:  # the microphone runs: begin
            part = self._played[self._position:self._position + frames]
            out[:len(part)] = part[:, np.newaxis]
            self._position += frames

    def on_input(self, data: Float32, frames: int, _times: Any, _status: Any) -> None:
        if self._position == 0:
            self._parts = [to_mono(data.copy())]
            return
        self._parts.append(to_mono(data.copy()))
        self._wanted -= frames
        if self._wanted <= 0:
            self._done.set()

    def wait(self) -> None:
        if not self._done.wait(TIMEOUT_S):
            what = 'the speaker asks for no sound' if self._position == 0 \
                else 'the microphone gives no sound'
            raise AssistantError(ErrorCode.TIMEOUT, f'{what} within {TIMEOUT_S:g} s')

    def sound(self) -> Float32:
        return np.concatenate(self._parts)
