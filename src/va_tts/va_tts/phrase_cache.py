# SPDX-License-Identifier: Apache-2.0
"""Prepared sound on disk: what is said at every start is synthesised once."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import tempfile

import numpy as np

from va_common.audio_io import Float32, float_to_int16, int16_to_float
from va_common.errors import AssistantError, ErrorCode

_SUFFIX = '.npy'


@dataclass(frozen=True)
class PhraseKey:
    """What decides how a phrase sounds."""

    text: str
    voice: str
    speed: float
    model_sum: str

    @property
    def file_name(self) -> str:
        """A name that tells nothing about the text."""
        parts = json.dumps([self.text, self.voice, round(self.speed, 3), self.model_sum])
        return hashlib.sha256(parts.encode()).hexdigest() + _SUFFIX


class PhraseCache:
    """A folder of phrases, bounded in size; the least recently used go first.

    A process killed while writing leaves no half phrase; several processes may share the folder.

    Raises:
        AssistantError: DISK when the folder cannot be made.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = f'cache folder {folder}: {error.strerror}'
            raise AssistantError(ErrorCode.DISK, message) from error

    def get(self, key: PhraseKey) -> Float32 | None:
        """The sound of a phrase, float32 (n,) at 24 kHz; None when it is not here.

        A damaged file is deleted.
        """
        path = self._folder / key.file_name
        try:
            samples = np.load(path, allow_pickle=False)
            if samples.dtype != np.int16 or samples.ndim != 1:
                raise ValueError(f'{samples.dtype} {samples.shape}')
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):
            path.unlink(missing_ok=True)
            return None
        return int16_to_float(samples)

    def put(self, key: PhraseKey, samples: Float32) -> None:
        """Keep a phrase.

        Raises:
            AssistantError: DISK when it cannot be written.
        """
        try:
            self._write(self._folder / key.file_name, samples)
            self._prune()
        except OSError as error:
            message = f'cache folder {self._folder}: {error.strerror}'
            raise AssistantError(ErrorCode.DISK, message) from error

    def _write(self, path: Path, samples: Float32) -> None:
        handle, name = tempfile.mkstemp(dir=self._folder, suffix='.part')
        try:
            with os.fdopen(handle, 'wb') as file:
                np.save(file, float_to_int16(samples))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _prune(self) -> None:
        """Delete the oldest until the folder is small enough; others may do so meanwhile."""
        entries = []
        for path in self._folder.glob('*' + _SUFFIX):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            entries.append((status.st_mtime, status.st_size, path))
        size = sum(entry[1] for entry in entries)
        for _, length, path in sorted(entries)[:-1]:
            if size <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            size -= length
