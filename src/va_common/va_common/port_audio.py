# SPDX-License-Identifier: Apache-2.0
"""PortAudio belongs to the whole process: its users must not take it from each other."""

from __future__ import annotations

import threading
from typing import Any, Literal
import weakref

from va_common.errors import AssistantError, ErrorCode

_lock = threading.Lock()
_streams: weakref.WeakSet[Any] = weakref.WeakSet()


def load_sounddevice() -> Any:
    """The module.

    Raises:
        AssistantError: UNAVAILABLE when PortAudio is not installed.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        message = f'PortAudio cannot be used ({error}): install libportaudio2'
        raise AssistantError(ErrorCode.UNAVAILABLE, message) from error
    return sounddevice


def refresh_devices() -> None:
    """Let PortAudio list the devices anew: it does so only when it starts.

    Starting it again would end every stream of this process: while one that was given to
    :func:`keep` is in use, the old list stays.

    Raises:
        AssistantError: UNAVAILABLE when PortAudio is not installed.
    """
    sounddevice = load_sounddevice()
    with _lock:
        if not any(_in_use(stream) for stream in _streams):
            sounddevice._terminate()
            sounddevice._initialize()


def find_device(name: str, kind: Literal['input', 'output']) -> int:
    """PortAudio's index of a device.

    Args:
        name: part of its name, upper or lower case; empty: the default device.

    Raises:
        AssistantError: DEVICE_FAILED, naming the devices that are there; UNAVAILABLE without
            PortAudio.
    """
    sounddevice = load_sounddevice()
    channels = f'max_{kind}_channels'
    devices = [d for d in sounddevice.query_devices() if d[channels] > 0]
    if not name:
        default = sounddevice.default.device[0 if kind == 'input' else 1]
        if default >= 0 and devices:
            return int(default)
        raise AssistantError(ErrorCode.DEVICE_FAILED, f'no {kind} device on this machine')
    for device in devices:
        if name.lower() in device['name'].lower():
            return int(device['index'])
    there = ', '.join(repr(d['name']) for d in devices) or 'none'
    message = f'{kind} device {name!r}: not found, expected one of {there}'
    raise AssistantError(ErrorCode.DEVICE_FAILED, message)


def keep(stream: Any) -> None:
    """Note an open stream; closing it is enough to have it forgotten."""
    with _lock:
        _streams.add(stream)


def is_active(stream: Any) -> bool:
    """Whether a stream of :mod:`sounddevice` runs; false for one that PortAudio has dropped."""
    try:
        return bool(stream.active)
    except load_sounddevice().PortAudioError:
        return False


def _in_use(stream: Any) -> bool:
    if stream.closed:
        return False
    try:
        stream.active  # noqa: B018 (raises when PortAudio does not know it any more)
    except load_sounddevice().PortAudioError:
        return False
    return True
