# SPDX-License-Identifier: Apache-2.0
"""Phrases that sound at once: synthesised in configure, kept in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import threading

from va_common.audio_io import Float32
from va_common.errors import AssistantError
from va_tts.kokoro_client import language_of
from va_tts.phrase_cache import PhraseCache, PhraseKey
from va_tts.spoken_text import spoken
from va_tts.synthesis import Job

Synthesise = Callable[[Job], Float32]
Warn = Callable[[str], None]


class PreparedPhrases:
    """The phrases at hand. Thread-safe.

    Args:
        cache: on disk.
        model_sum: of the model that speaks them.
        warn: told when the disk fails; the phrase is then kept in memory only.
    """

    def __init__(self, cache: PhraseCache, model_sum: str, warn: Warn) -> None:
        self._cache = cache
        self._model_sum = model_sum
        self._warn = warn
        self._lock = threading.Lock()
        self._sounds: dict[tuple[str, str, float], Float32] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._sounds)

    def get(self, text: str, voice: str, speed: float) -> Float32 | None:
        """The sound of a phrase, float32 (n,) at 24 kHz; None when it is not prepared."""
        with self._lock:
            return self._sounds.get(_key(text, voice, speed))

    def missing(self, texts: Iterable[str], voice: str, speed: float) -> list[str]:
        """Take from disk what is there; return the texts that have to be synthesised.

        Phrases of another voice or speed are forgotten.
        """
        found: dict[tuple[str, str, float], Float32] = {}
        absent = []
        for text in dict.fromkeys(text.strip() for text in texts):
            if not text:
                continue
            key = _key(text, voice, speed)
            sound = self.get(*key)
            if sound is None:
                sound = self._cache.get(self._disk_key(key))
            if sound is None:
                absent.append(text)
            else:
                found[key] = sound
        with self._lock:
            self._sounds = found
        return absent

    def put(self, text: str, voice: str, speed: float, sound: Float32) -> None:
        """Keep a phrase that was synthesised."""
        key = _key(text, voice, speed)
        with self._lock:
            self._sounds[key] = sound
        try:
            self._cache.put(self._disk_key(key), sound)
        except AssistantError as error:
            self._warn(error.message)

    def _disk_key(self, key: tuple[str, str, float]) -> PhraseKey:
        return PhraseKey(*key, self._model_sum)


def job_for(text: str, voice: str, speed: float) -> Job:
    """The job that synthesises a phrase as a whole."""
    return Job(spoken(text, language_of(voice)[:2]), voice, speed)


def _key(text: str, voice: str, speed: float) -> tuple[str, str, float]:
    return text.strip(), voice, round(speed, 3)
