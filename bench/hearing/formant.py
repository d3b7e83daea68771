# SPDX-License-Identifier: Apache-2.0
"""espeak-ng's voices: not natural, but a thousand of them in no time.

The library is the one that Kokoro asks for phonemes; its C interface is speak_lib.h.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
import random
from typing import Any

import espeakng_loader
import numpy as np
import soxr

from hearing.sounds import RATE, Sound

ACCENTS = ('en-us', 'en-gb-x-rp', 'en', 'en-gb-scotland', 'en-gb-x-gbclan', 'en-gb-x-gbcwmd',
           'en-us-nyc', 'en-029')
_NO_VOICE = ('demonic', 'unirobot', 'whisper', 'anikarobot', 'croak', 'tweaky', 'fast')
"""Voices that no person has begin with these."""
_SYNCHRONOUS, _RATE, _PITCH, _UTF8 = 2, 1, 3, 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                             ctypes.c_void_p)
_spoken: list[np.ndarray[Any, Any]] = []


@cache
def speakers() -> list[str]:
    """The voice variants; each speaks every accent."""
    folder = Path(espeakng_loader.get_data_path()) / 'voices' / '!v'
    return sorted(p.name for p in folder.iterdir() if not p.name.lower().startswith(_NO_VOICE))


def speak(text: str, speaker: str, accent: str, words_per_minute: int, pitch: int) -> Sound:
    """A text by one of :func:`speakers`, at 16 kHz; pitch is 0 to 100.

    Raises:
        ValueError: there is no such voice.
    """
    library, rate_hz = _library()
    if library.espeak_SetVoiceByName(f'{accent}+{speaker}'.encode()) != 0:
        raise ValueError(f'{accent}+{speaker}: no voice of espeak-ng')
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    _spoken.clear()
    data = text.encode() + b'\0'
    library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
    sound = np.concatenate(_spoken).astype(np.float32) / 32768.0
    return np.asarray(soxr.resample(sound, rate_hz, RATE), np.float32)


def anyone(chance: random.Random) -> tuple[str, str]:
    """A speaker and an accent."""
    return chance.choice(speakers()), chance.choice(ACCENTS)


@_Callback
def _collect(samples: Any, count: int, _events: Any) -> int:
    if samples and count > 0:
        _spoken.append(np.ctypeslib.as_array(samples, (count,)).copy())
    return 0


@cache
def _library() -> tuple[Any, int]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data_path = espeakng_loader.get_data_path().encode()
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, 0)
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
        ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    library.espeak_SetSynthCallback(_collect)
    return library, rate_hz
