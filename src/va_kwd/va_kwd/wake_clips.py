# SPDX-License-Identifier: Apache-2.0
"""The sound around each wake, kept for tuning where the user wants it: so many WAV files.

It is what kwd heard (after echo cancellation), from 2 s before a wake was decided to 1 s after it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
import os
from pathlib import Path
from typing import Any
import wave

from va_common.audio_io import Int16, SAMPLE_RATE, TimedBuffer
from va_common.errors import AssistantError
from va_kwd.detector import Detection

BEFORE_S = 2.0
AFTER_S = 1.0
_WAITING = 8
"""Wakes at most whose second after them has not passed yet; more are not kept."""
_PATTERN = 'wake_*.wav'
_PARTIAL = '.wake.part'


class WakeClips:
    """Collects the clips; one thread feeds it.

    Args:
        folder: where the files go.
        submit: runs a function in another thread, as :meth:`Worker.submit` does.
        failed: told why a clip was lost, from either thread.
    """

    def __init__(self, folder: Path, submit: Callable[..., Any],
                 failed: Callable[[str], None]) -> None:
        self.limit = 0
        """Newest files that are kept; 0: none is written. May be set at any time."""
        self._folder = folder
        self._submit = submit
        self._failed = failed
        self._sound = TimedBuffer(BEFORE_S + AFTER_S + 1.0)
        self._waiting: list[Detection] = []

    def hear(self, samples: Int16, start_s: float) -> None:
        """Take the next chunk, int16 (n,) at 16 kHz, its first sample of the Unix time given."""
        if self.limit == 0:
            self._waiting.clear()
            return
        self._sound.append(samples, start_s)
        due = [d for d in self._waiting if self._sound.end_s >= d.decided_s + AFTER_S]
        for detection in due:
            self._waiting.remove(detection)
            self._hand_over(detection)

    def keep(self, detection: Detection) -> None:
        """Keep the sound around a wake once what follows it has been heard."""
        if self.limit > 0 and len(self._waiting) < _WAITING:
            self._waiting.append(detection)

    def reset(self) -> None:
        """Forget wakes whose sound is not complete: the stream ended."""
        self._waiting.clear()

    def _hand_over(self, detection: Detection) -> None:
        at_s = detection.decided_s
        sound = self._sound.read(at_s - BEFORE_S, at_s + AFTER_S)
        try:
            self._submit(self._write, self.limit, _name(detection), sound)
        except AssistantError as error:
            self._failed(error.message)

    def _write(self, limit: int, name: str, sound: Int16) -> None:
        try:
            write_clip(self._folder, limit, name, sound)
        except OSError as error:
            self._failed(f'{self._folder}: the sound of a wake is lost ({error.strerror})')


def write_clip(folder: Path, limit: int, name: str, sound: Int16) -> None:
    """Write a WAV file of mode 0600 and delete the oldest beyond ``limit``.

    The folder is made with mode 0700 where it is missing. Raises OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = folder / _PARTIAL
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(partial, flags, 0o600), 'wb') as file:
        os.fchmod(file.fileno(), 0o600)
        with wave.open(file, 'wb') as wav:
            wav.setparams((1, 2, SAMPLE_RATE, 0, 'NONE', ''))
            wav.writeframes(sound.astype('<i2').tobytes())
    partial.replace(folder / name)
    # A name begins with its time, so that they sort by age.
    for old in sorted(folder.glob(_PATTERN))[:-limit]:
        old.unlink(missing_ok=True)


def _name(detection: Detection) -> str:
    at = datetime.fromtimestamp(detection.decided_s, timezone.utc)
    stamp = f'{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z'
    return f'wake_{stamp}_{detection.word.name}_{detection.score:.2f}.wav'
