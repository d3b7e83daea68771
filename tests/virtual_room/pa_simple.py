# SPDX-License-Identifier: Apache-2.0
"""The few calls of libpulse-simple that the room needs (mono float32 streams with a known
latency).
"""
from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

import numpy as np

_PLAYBACK, _RECORD = 1, 2
_FLOAT32LE = 5
_ANY = 0xFFFFFFFF


class _Spec(ctypes.Structure):
    _fields_ = [('format', ctypes.c_int), ('rate', ctypes.c_uint32), ('channels', ctypes.c_uint8)]


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32)
                for name in ('maxlength', 'tlength', 'prebuf', 'minreq', 'fragsize')]


class PulseError(RuntimeError):
    """PulseAudio refused or lost a stream."""


def _library() -> Any:
    name = ctypes.util.find_library('pulse-simple') or 'libpulse-simple.so.0'
    try:
        library: Any = ctypes.CDLL(name)
    except OSError as error:
        raise PulseError(
            'libpulse-simple is missing; install it with: sudo apt-get install libpulse0'
        ) from error
    library.pa_simple_new.restype = ctypes.c_void_p
    library.pa_simple_new.argtypes = [
        ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p,
        ctypes.POINTER(_Spec), ctypes.c_void_p, ctypes.POINTER(_Attributes),
        ctypes.POINTER(ctypes.c_int)]
    for call in (library.pa_simple_read, library.pa_simple_write):
        call.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                         ctypes.POINTER(ctypes.c_int)]
    library.pa_simple_get_latency.restype = ctypes.c_uint64
    library.pa_simple_get_latency.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
    library.pa_simple_free.argtypes = [ctypes.c_void_p]
    library.pa_simple_free.restype = None
    library.pa_strerror = ctypes.CDLL('libpulse.so.0').pa_strerror
    library.pa_strerror.restype = ctypes.c_char_p
    return library


class _Stream:
    def __init__(self, direction: int, device: str, rate: int, attributes: _Attributes) -> None:
        self._lib = _library()
        self._error = ctypes.c_int()
        spec = _Spec(_FLOAT32LE, rate, 1)
        self._handle = self._lib.pa_simple_new(
            None, b'virtual room', direction, device.encode(), b'room', ctypes.byref(spec), None,
            ctypes.byref(attributes), ctypes.byref(self._error))
        if not self._handle:
            raise PulseError(f'cannot open {device}: {self._reason()}')

    def _reason(self) -> str:
        return str(self._lib.pa_strerror(self._error).decode())

    def _transfer(self, call: Any, block: np.ndarray) -> None:
        if call(self._handle, block.ctypes.data, block.nbytes, ctypes.byref(self._error)) < 0:
            raise PulseError(f'the stream broke: {self._reason()}')

    def latency_s(self) -> float:
        """Seconds between the sample at this end of the stream and the device, now."""
        return (
            float(self._lib.pa_simple_get_latency(self._handle, ctypes.byref(self._error))) * 1e-6
        )

    def close(self) -> None:
        if self._handle:
            self._lib.pa_simple_free(self._handle)
            self._handle = None


class Recorder(_Stream):
    """Blocking reads of ``block`` mono float32 samples from ``device``."""

    def __init__(self, device: str, rate: int, block: int) -> None:
        self._block = np.zeros(block, np.float32)
        super().__init__(_RECORD, device, rate,
                         _Attributes(_ANY, _ANY, _ANY, _ANY, block * 4))

    def read(self) -> np.ndarray:
        self._transfer(self._lib.pa_simple_read, self._block)
        return self._block.copy()


class Player(_Stream):
    """Blocking writes of mono float32 samples to ``device``, ``buffer`` samples ahead of it."""

    def __init__(self, device: str, rate: int, block: int, buffer: int) -> None:
        super().__init__(_PLAYBACK, device, rate,
                         _Attributes(_ANY, buffer * 4, buffer * 4, block * 4, _ANY))

    def write(self, block: np.ndarray) -> None:
        self._transfer(self._lib.pa_simple_write, np.ascontiguousarray(block, np.float32))
