# SPDX-License-Identifier: Apache-2.0
"""The one owner of the microphone: PortAudio through sounddevice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import StreamResampler
from va_common.device_calls import DeviceCalls
from va_common.errors import AssistantError, ErrorCode
from va_common.port_audio import (
    find_device,
    is_active,
    keep,
    load_sounddevice,
    refresh_devices,
)
from va_common.sound_server import DefaultDevice
from va_stt.block_queue import BlockQueue
from va_stt.blocks import Block, RATE
from va_stt.capture_clock import CaptureClock
from va_stt.channels import ChannelMix

BLOCK_S = 0.02
QUEUE_BLOCKS = 150
MAX_CHANNELS = 8
STALL_S = 2.0
FIRST_SOUND_S = 4.0
"""PulseAudio may take 2 s to let an idle source flow."""
OPEN_TIMEOUT_S = 6.0
CLOSE_TIMEOUT_S = 2.0
MAX_LATENCY_S = 5.0


@dataclass(frozen=True)
class StreamFormat:
    """What a device agreed to."""

    device: int
    name: str
    rate: int
    channels: int


def choose_format(name: str, rate: int) -> StreamFormat:
    """Find a rate and a channel count that the device takes.

    The rate asked for is tried first, then the device's own; one channel first, then all.

    Raises:
        AssistantError: DEVICE_FAILED: not found, or it takes none of them (busy, for example).
    """
    sounddevice = load_sounddevice()
    device = find_device(name, 'input')
    about = sounddevice.query_devices(device)
    channels = max(1, min(int(about['max_input_channels']), MAX_CHANNELS))
    refusal = ''
    for some_rate in dict.fromkeys((rate, int(about['default_samplerate']))):
        for count in dict.fromkeys((1, channels)):
            try:
                sounddevice.check_input_settings(
                    device=device, channels=count, dtype='int16', samplerate=some_rate)
            except sounddevice.PortAudioError as error:
                refusal = str(error)
                continue
            return StreamFormat(device, str(about['name']), some_rate, count)
    message = (f'microphone {about["name"]!r}: neither {rate} Hz nor its own '
               f'{about["default_samplerate"]:g} Hz can be used ({refusal})')
    raise AssistantError(ErrorCode.DEVICE_FAILED, message)


class Microphone:
    """An input device as an :class:`~va_stt.audio_source.AudioSource`.

    PortAudio's callback copies the block into a bounded queue and does nothing else; mixing to
    mono and resampling happen in :meth:`read`, in the thread of the reader.

    Args:
        name: part of the device's name; empty: the default device.
        rate: samples per second to ask for.
    """

    def __init__(self, name: str, rate: int) -> None:
        self._name = name
        self._rate = rate
        self._stream: Any = None
        self._format: StreamFormat | None = None
        self._queue = BlockQueue(QUEUE_BLOCKS)
        self._heard_at = 0.0
        self._heard = False
        self._calls = DeviceCalls(lambda: f'microphone {self._label!r}')
        self._default = DefaultDevice('source')
        self._channels = ChannelMix()
        self.missed_blocks = 0
        self.overflows = 0

    @property
    def _label(self) -> str:
        """The device as messages call it."""
        return self._format.name if self._format is not None else self._name or 'default'

    def open(self) -> None:
        """Find the device, agree on a format and open it, without starting it.

        Raises:
            AssistantError: DEVICE_FAILED or UNAVAILABLE.
        """
        self.close()
        gone = self._default.gone()
        if gone is not None:
            raise self._lost(gone)
        self._calls.run('open', self._open_now, OPEN_TIMEOUT_S)
        self._default.opened(self._label)
        none_there = self._default.problem()
        if none_there is not None:
            self.close()
            raise self._lost(none_there)

    def _open_now(self) -> None:
        if self._stream is not None:  # of an attempt that came back too late
            self._stream.close(ignore_errors=True)
            self._stream = None
        refresh_devices()
        chosen = choose_format(self._name, self._rate)
        sounddevice = load_sounddevice()
        try:
            self._stream = sounddevice.RawInputStream(
                device=chosen.device, samplerate=chosen.rate, channels=chosen.channels,
                dtype='int16', blocksize=round(chosen.rate * BLOCK_S), callback=self._on_block)
        except sounddevice.PortAudioError as error:
            raise self._failure('cannot be opened', chosen.name, error) from error
        keep(self._stream)
        self._format = chosen
        self._channels = ChannelMix()
        self._converter = _Converter(chosen, self._channels)

    def start(self) -> None:
        """Start the stream.

        Raises:
            AssistantError: DEVICE_FAILED.
        """
        if self._stream is None or self._format is None:
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'the microphone is not open')
        self._queue.clear()
        self._converter.reset()
        self._heard = False
        self._heard_at = time.monotonic()
        try:
            self._calls.run('start', self._stream.start, CLOSE_TIMEOUT_S)
        except load_sounddevice().PortAudioError as error:
            raise self._failure('cannot be started', self._format.name, error) from error

    def read(self, timeout_s: float, ahead_s: float = 0.0) -> Block | None:
        """The next block; None when none came in time, or its time is not known yet.

        Args:
            timeout_s: bounds the wait.
            ahead_s: wake only once so much sound is there, this block included.

        Raises:
            AssistantError: DEVICE_FAILED when the stream ended, gives nothing for ``STALL_S``, or
                was moved to something that is no microphone.
        """
        moved = self._default.problem()
        if moved is not None:
            raise self._lost(moved)
        taken = self._queue.take(math.ceil(ahead_s / BLOCK_S - 0.01), timeout_s)
        if taken is None:
            self._raise_if_lost()
            return None
        return self._converter.convert(*taken)

    def stop(self) -> None:
        """Stop the stream; idempotent."""
        stream = self._stream
        if stream is not None and is_active(stream):
            self._abandon('stop', lambda: stream.abort(ignore_errors=True))

    def close(self) -> None:
        """Close the device; idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._abandon('close', lambda: stream.close(ignore_errors=True))

    def _abandon(self, what: str, call: Callable[[], None]) -> None:
        with suppress(AssistantError):  # it hangs: opening again is refused until it returns
            self._calls.run(what, call, CLOSE_TIMEOUT_S)

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        chosen = self._format
        about = f'{chosen.name}, {chosen.rate} Hz, {chosen.channels} ch' if chosen else 'none'
        return {'microphone': about, 'missed_blocks': str(self.missed_blocks),
                'overflows': str(self.overflows)}

    def warnings(self) -> list[str]:
        """What is wrong with the sound, as far as the device knows."""
        return self._channels.warnings()

    def _on_block(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """Run in PortAudio's thread: stamp, copy, queue."""
        now_s = time.time()
        self._heard_at = time.monotonic()
        self._heard = True
        if status.input_overflow:
            self.overflows += 1
        latency_s = times.currentTime - times.inputBufferAdcTime
        if times.inputBufferAdcTime <= 0.0 or not 0.0 <= latency_s < MAX_LATENCY_S:
            latency_s = frames / self._stream_rate()  # the host API does not tell
        if not self._queue.put((bytes(data), now_s - latency_s)):
            self.missed_blocks += 1

    def _stream_rate(self) -> int:
        return self._format.rate if self._format is not None else self._rate

    def _raise_if_lost(self) -> None:
        if self._stream is None:
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'the microphone is closed')
        if not is_active(self._stream):
            raise self._lost('its stream ended')
        silent_s = time.monotonic() - self._heard_at
        if silent_s > (STALL_S if self._heard else FIRST_SOUND_S):
            raise self._lost(f'no sound for {silent_s:.1f} s')

    def _lost(self, why: str) -> AssistantError:
        message = f'microphone {self._label!r} is gone: {why}; plug it in'
        return AssistantError(ErrorCode.DEVICE_FAILED, message)

    def _failure(self, what: str, name: str, error: Exception) -> AssistantError:
        return AssistantError(ErrorCode.DEVICE_FAILED, f'microphone {name!r} {what}: {error}')


class _Converter:
    """Raw blocks of a device to mono 16 kHz blocks with smooth times."""

    def __init__(self, chosen: StreamFormat, channels: ChannelMix) -> None:
        self._format = chosen
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        self._clock = CaptureClock(self._format.rate)
        self._resampler = StreamResampler(self._format.rate, RATE, 'int16')
        self._taken = 0
        self._given = 0

    def convert(self, data: bytes, reported_s: float) -> Block | None:
        frames: NDArray[np.int16] = np.frombuffer(data, np.int16)
        mono = self._channels.mix(frames.reshape(-1, self._format.channels))
        start_s = self._clock.stamp(reported_s, len(mono))
        if not self._clock.settled:
            return None
        # The resampler still holds sound of earlier blocks; its output begins there.
        held_s = self._taken / self._format.rate - self._given / RATE
        samples = self._resampler.process(mono)
        self._taken += len(mono)
        self._given += len(samples)
        return Block(samples, start_s - held_s)
