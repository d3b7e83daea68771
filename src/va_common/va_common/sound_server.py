# SPDX-License-Identifier: Apache-2.0
"""What the sound server calls its default devices: PulseAudio, or PipeWire in its place.

When a device goes away, the server moves a stream of the *default* device to whatever is left,
at worst a microphone's to the speaker's own monitor: the stream runs on, and hears nothing.
PortAudio cannot tell. libpulse, which ALSA's way to the server needs anyway, can.
"""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from dataclasses import dataclass
from functools import cache
import os
from pathlib import Path
import time
from typing import Any, Literal

ASK_TIMEOUT_S = 0.5
PERIOD_S = 1.0
_READY, _FAILED = 4, 5
_NO_AUTOSPAWN = 1
_DUMMY_SINK = 'auto_null'
_SERVER_DEVICES = ('default', 'pulse', 'pipewire', 'sysdefault')
_CHOSEN_BY_HAND = {'source': 'PULSE_SOURCE', 'sink': 'PULSE_SINK'}
"""libpulse's own variables: with one set, a stream of the default device is somewhere else."""
_ALSA_CARDS = Path('/proc/asound/pcm')


@dataclass(frozen=True)
class Defaults:
    """The server's names of its default devices."""

    source: str
    sink: str


class _ServerInfo(ctypes.Structure):
    """The beginning of ``pa_server_info``."""

    _fields_ = [
        ('user_name', ctypes.c_char_p), ('host_name', ctypes.c_char_p),
        ('server_version', ctypes.c_char_p), ('server_name', ctypes.c_char_p),
        ('format', ctypes.c_int), ('rate', ctypes.c_uint32), ('channels', ctypes.c_uint8),
        ('default_sink', ctypes.c_char_p), ('default_source', ctypes.c_char_p)]


_OnInfo = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_ServerInfo), ctypes.c_void_p)


def ask_defaults(timeout_s: float = ASK_TIMEOUT_S) -> Defaults | None:
    """Ask the server; None when there is none, or it does not answer in time."""
    pulse = _library()
    if pulse is None:
        return None
    loop = pulse.pa_mainloop_new()
    context = pulse.pa_context_new(pulse.pa_mainloop_get_api(loop), b'voice assistant')
    try:
        return _ask(pulse, loop, context, time.monotonic() + timeout_s)
    finally:
        pulse.pa_context_disconnect(context)
        pulse.pa_context_unref(context)
        pulse.pa_mainloop_free(loop)


def fingerprint() -> object:
    """Something cheap that changes when devices come or go."""
    try:
        cards = _ALSA_CARDS.read_text()
    except OSError:
        cards = ''
    return ask_defaults(), cards


class DefaultDevice:
    """Notices that the server has moved a stream of a default device away from it.

    Used by one thread. A stream on a device of its own name is not looked at: it dies with it.

    Args:
        kind: of the stream.
        ask: the server's defaults.
        clock: steady seconds.
    """

    def __init__(self, kind: Literal['source', 'sink'],
                 ask: Callable[[], Defaults | None] = ask_defaults,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._ask = ask
        self._clock = clock
        self._home: Defaults | None = None
        self._applies = False
        self._asked_s = float('-inf')
        self._problem: str | None = None

    def opened(self, name: str) -> None:
        """A stream was opened on the device that PortAudio calls ``name``."""
        self._applies = name.partition(':')[0].strip().lower() in _SERVER_DEVICES \
            and not os.environ.get(_CHOSEN_BY_HAND[self._kind])
        self._home = self._ask() if self._applies else None
        self._asked_s = self._clock()
        self._problem = self._judge(self._home)

    def problem(self) -> str | None:
        """Why the stream is not at a device of its own; asked once a second, else as before."""
        if self._applies and self._clock() - self._asked_s >= PERIOD_S:
            self._asked_s = self._clock()
            self._problem = self._judge(self._ask())
        return self._problem

    def gone(self) -> str | None:
        """As :meth:`problem`, asked now: whether opening it again is worth a try."""
        self._asked_s = float('-inf')
        return self.problem()

    def _judge(self, now: Defaults | None) -> str | None:
        if now is None or self._home is None:
            return None
        if self._kind == 'source':
            # Also when it was so from the beginning: an assistant that hears only itself is deaf.
            deaf = _is_own_monitor(now)
            return 'the sound server has none, only what the speaker plays' if deaf else None
        moved = now.sink != self._home.sink
        if moved and (now.sink == _DUMMY_SINK or _is_own_monitor(now)):
            return 'the sound server has none left'
        return None


def _is_own_monitor(now: Defaults) -> bool:
    """Whether what is recorded by default is what is played by default."""
    return now.source == f'{now.sink}.monitor'


def _ask(pulse: Any, loop: Any, context: Any, deadline_s: float) -> Defaults | None:
    found: list[Defaults] = []
    answered = [False]

    def take(_: Any, info: Any, __: Any) -> None:
        answered[0] = True
        if info:
            said = info.contents
            found.append(Defaults(_text(said.default_source), _text(said.default_sink)))

    on_info = _OnInfo(take)
    if pulse.pa_context_connect(context, None, _NO_AUTOSPAWN, None) < 0:
        return None
    if not _turn_until(pulse, loop, deadline_s,
                       lambda: pulse.pa_context_get_state(context) >= _READY):
        return None
    if pulse.pa_context_get_state(context) >= _FAILED:
        return None
    operation = pulse.pa_context_get_server_info(context, on_info, None)
    _turn_until(pulse, loop, deadline_s,
                lambda: answered[0] or pulse.pa_context_get_state(context) >= _FAILED)
    if operation:
        pulse.pa_operation_cancel(operation)
        pulse.pa_operation_unref(operation)
    return found[0] if found else None


def _turn_until(pulse: Any, loop: Any, deadline_s: float, done: Callable[[], bool]) -> bool:
    while not done():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return False
        if pulse.pa_mainloop_prepare(loop, int(left_s * 1e6)) < 0 \
                or pulse.pa_mainloop_poll(loop) < 0 or pulse.pa_mainloop_dispatch(loop) < 0:
            return False
    return True


def _text(raw: bytes | None) -> str:
    return (raw or b'').decode('utf-8', 'replace')


@cache
def _library() -> Any:
    """libpulse, with the types that are not int; None where it is not installed."""
    try:
        pulse = ctypes.CDLL('libpulse.so.0')
    except OSError:
        return None
    pointer = ctypes.c_void_p
    for name, result, arguments in (
            ('pa_mainloop_new', pointer, ()), ('pa_mainloop_get_api', pointer, (pointer,)),
            ('pa_mainloop_free', None, (pointer,)),
            ('pa_mainloop_prepare', ctypes.c_int, (pointer, ctypes.c_int)),
            ('pa_mainloop_poll', ctypes.c_int, (pointer,)),
            ('pa_mainloop_dispatch', ctypes.c_int, (pointer,)),
            ('pa_context_new', pointer, (pointer, ctypes.c_char_p)),
            ('pa_context_connect', ctypes.c_int,
             (pointer, ctypes.c_char_p, ctypes.c_int, pointer)),
            ('pa_context_get_state', ctypes.c_int, (pointer,)),
            ('pa_context_get_server_info', pointer, (pointer, _OnInfo, pointer)),
            ('pa_context_disconnect', None, (pointer,)), ('pa_context_unref', None, (pointer,)),
            ('pa_operation_cancel', None, (pointer,)), ('pa_operation_unref', None, (pointer,))):
        function = getattr(pulse, name)
        function.restype, function.argtypes = result, arguments
    return pulse
