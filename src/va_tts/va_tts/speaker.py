# SPDX-License-Identifier: Apache-2.0
"""The one owner of the output device, through PortAudio."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Any

import numpy as np

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
from va_tts.audio_priority import raise_priority
from va_tts.play_clock import PlayClock
from va_tts.playout import Playout

STALL_S = 2.0
"""A running device that asks for no sound for so long has stalled."""
START_STALL_S = 4.0
"""The same in the first seconds: PulseAudio's null sink may pause for 2 s when it was idle."""
STORM = 10
STORM_S = 0.5
"""So many underruns in this time do not end by themselves: started empty by PortAudio, a stream of
ALSA's pulse plugin may run dry at once, and again, and take sound ten times too fast meanwhile."""
_LATENCY_S = 0.03
_BUFFERED_BLOCKS = 2
_MOST_BUFFERED_BLOCKS = 16
_CLOSE_S = 2.0
_OPEN_S = 6.0


class Speaker:
    """A PortAudio output stream; see :class:`va_tts.sound_out.SoundOut`.

    It stays open while the node is active and is fed silence when nothing is said, so that a word
    is heard one block and one buffer after it is ready.

    Args:
        device: part of the device's name; empty: the default device.
        rate: Hz; the device's own rate is taken where it refuses this one.
        block_s: seconds between call-backs.
        underrun: told, in the audio thread, that the device ran out of sound.
    """

    def __init__(self, device: str, rate: int, block_s: float,
                 underrun: Callable[[], None]) -> None:
        self._device = device
        self._wanted_rate = rate
        self._block_s = block_s
        self._underrun = underrun
        self._stream: Any = None
        self._name = ''
        self._channels = 1
        self._rate = rate
        self._playout: Playout | None = None
        self._clock = PlayClock(rate, _LATENCY_S)
        self._scratch = np.zeros(0, np.float32)
        self._started = False
        self._last_s = 0.0
        self._started_s = 0.0
        self._fault: str | None = None
        self._calls = DeviceCalls(lambda: f'speaker {self.name!r}')
        self._default = DefaultDevice('sink')
        self._buffered_blocks = _BUFFERED_BLOCKS
        self._recent_underflows: deque[float] = deque(maxlen=STORM)
        self.blocks = 0
        self.underflows = 0
        self.priority = ''
        """Of the audio thread: realtime, raised or normal; empty before it runs."""

    @property
    def rate(self) -> int:
        """Hz of the open stream."""
        return self._rate

    @property
    def name(self) -> str:
        """As PortAudio calls it."""
        return self._name or self._device or 'default'

    @property
    def latency_s(self) -> float:
        """From call-back to ear, smoothed."""
        return self._clock.latency_s

    def open(self) -> None:
        """Open the device, in the first way that it takes; with twice the buffer after a storm.

        Raises:
            AssistantError: DEVICE_FAILED: no such device, or it is busy.
        """
        gone = self._default.gone()
        if gone is not None:
            raise AssistantError(ErrorCode.DEVICE_FAILED, self._gone(gone))
        if self._storms:
            self._buffered_blocks = min(2 * self._buffered_blocks, _MOST_BUFFERED_BLOCKS)
            self._recent_underflows.clear()
        self._calls.run('open', self._open_now, _OPEN_S)
        self._default.opened(self.name)

    def _open_now(self) -> None:
        sounddevice = load_sounddevice()
        if self._stream is not None:  # of an attempt that came back too late
            self._stream.close(ignore_errors=True)
            self._stream = None
        refresh_devices()
        index = find_device(self._device, 'output')
        info = sounddevice.query_devices(index)
        self._name = str(info['name'])
        refused: Exception | None = None
        for rate in dict.fromkeys((self._wanted_rate, round(info['default_samplerate']))):
            for channels in (1, 2):
                try:
                    self._open(index, rate, channels)
                    return
                except sounddevice.PortAudioError as error:
                    refused = refused or error
        message = f'speaker {self._name!r} cannot be opened: {refused}'
        raise AssistantError(ErrorCode.DEVICE_FAILED, message)

    def _open(self, index: int, rate: int, channels: int) -> None:
        sounddevice = load_sounddevice()
        block = round(self._block_s * rate)
        self._stream = sounddevice.OutputStream(
            device=index, samplerate=rate, channels=channels, dtype='float32', blocksize=block,
            latency=max(_LATENCY_S, self._buffered_blocks * self._block_s),
            callback=self._callback)
        keep(self._stream)
        self._rate, self._channels = rate, channels
        self._scratch = np.zeros(block, np.float32)

    def start(self, playout: Playout) -> None:
        """Let the device ask for sound.

        Raises:
            AssistantError: DEVICE_FAILED.
        """
        sounddevice = load_sounddevice()
        if self._stream is None:
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'the speaker is not open')
        self._playout = playout
        self.priority = ''
        self._fault = None
        self._clock = PlayClock(self._rate, float(self._stream.latency))
        self._recent_underflows.clear()
        self._last_s = self._started_s = time.monotonic()
        try:
            self._calls.run('start', self._stream.start, _CLOSE_S)
        except sounddevice.PortAudioError as error:
            message = f'speaker {self._name!r} cannot be started: {error}'
            raise AssistantError(ErrorCode.DEVICE_FAILED, message) from error
        self._started = True

    def stop(self) -> None:
        """Stop the device.

        Raises:
            AssistantError: DEVICE_FAILED when it does not answer.
        """
        if self._started:
            self._started = False
            self._calls.run('stop', self._stream.abort, _CLOSE_S)

    def close(self) -> None:
        """Close the device.

        Raises:
            AssistantError: DEVICE_FAILED when it does not answer; it is then abandoned.
        """
        stream, self._stream, self._started = self._stream, None, False
        if stream is not None:
            self._calls.run('close', lambda: stream.close(ignore_errors=True), _CLOSE_S)

    def problem(self) -> str | None:
        """Why no sound comes out."""
        if self._fault is not None:
            return f'speaker {self.name!r}: {self._fault}'
        if self._stream is None or not self._started:
            return f'speaker {self.name!r} is not running'
        if not is_active(self._stream):
            return self._gone('its stream ended')
        if self._storms:
            return f'speaker {self.name!r} ran out of sound {STORM} times in {STORM_S:g} s'
        now_s = time.monotonic()
        idle_s = now_s - self._last_s
        fresh = now_s - self._started_s < START_STALL_S
        if idle_s > (START_STALL_S if fresh else STALL_S):
            return self._gone(f'it has asked for no sound for {idle_s:.1f} s')
        return None

    @property
    def _storms(self) -> bool:
        recent = self._recent_underflows
        return len(recent) == STORM and recent[-1] - recent[0] < STORM_S

    def moved(self) -> str | None:
        """Why what is played is not heard although the stream runs; for one thread only."""
        why = self._default.problem()
        return None if why is None else self._gone(why)

    @property
    def broken(self) -> bool:
        """Whether the fault is not the device's but ours: opening it again does not help."""
        return self._fault is not None

    def _gone(self, why: str) -> str:
        return f'speaker {self.name!r} is gone: {why}; plug it in'

    def describe(self) -> dict[str, str]:
        """Values for /diagnostics."""
        return {
            'output device': self._name, 'output rate': str(self._rate),
            'output latency ms': f'{self.latency_s * 1000:.1f}',
            'output blocks': str(self.blocks), 'device underflows': str(self.underflows),
            'audio priority': self.priority,
        }

    def _callback(self, out: Any, frames: int, times: Any, status: Any) -> None:
        """Fill one block; PortAudio's thread."""
        now_s = time.time()
        self._last_s = time.monotonic()
        self.blocks += 1
        try:
            if not self.priority:
                self.priority = raise_priority()
            if status.output_underflow:
                self.underflows += 1
                self._recent_underflows.append(self._last_s)
                self._underrun()
            if self._storms:
                out.fill(0)  # what was to be said is kept until the stream is opened again
            else:
                self._fill(out, frames, now_s, times)
        except Exception as error:
            # An exception would stop the stream without a word.
            out.fill(0)
            self._fault = f'{type(error).__name__}: {error}'

    def _fill(self, out: Any, frames: int, now_s: float, times: Any) -> None:
        if not frames or self._playout is None:
            out.fill(0)
            return
        start_s = self._clock.block(frames, now_s, times.currentTime, times.outputBufferDacTime)
        if self._channels == 1:
            self._playout.fill(out[:, 0], start_s)
            return
        if len(self._scratch) != frames:
            self._scratch = np.zeros(frames, np.float32)
        self._playout.fill(self._scratch, start_s)
        out[:] = self._scratch[:, np.newaxis]
