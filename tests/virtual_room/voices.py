# SPDX-License-Identifier: Apache-2.0
"""The synthetic user's voice: Kokoro, with other voices than the assistant's, synthesised
before the conversation and kept.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
import hashlib
import os
from pathlib import Path
import tempfile
from typing import Any

import numpy as np
import soundfile

from va_common.model_catalogue import model_path
from virtual_room.room import Said, VirtualRoom

RATE = 24000
MODEL = 'kokoro-onnx'
VOICES = 'kokoro-voices'
_REPOSITORY = Path(__file__).resolve().parents[2]


def cache_folder() -> Path:
    """Where synthesised sentences are kept: ``.va/cache`` of the repository, else a folder of
    this user.
    """
    home = _REPOSITORY / '.va'
    if home.is_dir() and os.access(home, os.W_OK):
        return home / 'cache' / 'virtual_room'
    return Path(tempfile.gettempdir()) / f'va_virtual_room_{os.getuid()}'


class Voices:
    """Sentences as sound files, made once per (text, voice, speed).

    The engine is loaded only when something is missing in the cache.
    """

    def __init__(self, folder: Path | None = None,
                 tell: Callable[[str], None] = lambda _: None) -> None:
        """``tell`` gets a line for each sentence that has to be synthesised."""
        self._tell = tell
        self._folder = folder or cache_folder()
        self._engine: Any = None

    def prepare(self, sentences: Iterable[tuple[str, str]]) -> None:
        """Synthesise what is missing of (text, voice) pairs."""
        for text, voice in sentences:
            self.wav(text, voice)

    def wav(self, text: str, voice: str, speed: float = 1.0) -> Path:
        """The 24 kHz mono sound file of ``text``. Raises ValueError for an unknown voice."""
        path = self._path(text, voice, speed)
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tell(f'preparing the user: “{text}”')
            samples = self._synthesise(text, voice, speed)
            partial = path.with_suffix(f'.{os.getpid()}.part')
            soundfile.write(partial, samples, RATE, format='WAV', subtype='PCM_16')
            partial.replace(path)
        return path

    def _path(self, text: str, voice: str, speed: float) -> Path:
        key = hashlib.sha256(f'{MODEL}|{voice}|{speed}|{text}'.encode()).hexdigest()[:20]
        return self._folder / f'{key}.wav'

    def _synthesise(self, text: str, voice: str, speed: float) -> np.ndarray:
        style_file = model_path(VOICES) / f'{voice}.bin'
        if not style_file.exists():
            names = ', '.join(sorted(p.stem for p in style_file.parent.glob('[ab][fm]_*.bin')))
            raise ValueError(f'voice {voice}: expected one of {names}')
        style = np.fromfile(style_file, np.float32).reshape(-1, 1, 256)
        samples, rate = self._loaded().create(text, voice=style, speed=speed, lang='en-us')
        assert rate == RATE
        return np.asarray(samples, np.float32)

    def _loaded(self) -> Any:
        if self._engine is None:
            from kokoro_onnx import Kokoro
            model = next(model_path(MODEL).glob('*.onnx'))
            with tempfile.NamedTemporaryFile(suffix='.npz') as voices:
                np.savez(voices, none=np.zeros((510, 1, 256), np.float32))
                voices.flush()
                self._engine = Kokoro(str(model), voices.name)
        return self._engine


class SyntheticUser:
    """Somebody in the room with a voice."""

    def __init__(self, room: VirtualRoom, voices: Voices, voice: str = 'am_michael') -> None:
        self._room = room
        self._voices = voices
        self.voice = voice

    def say(self, text: str) -> Said:
        """Say ``text``; its times are in the answer once it begins."""
        return self.play(self._voices.wav(text, self.voice))

    def play(self, wav: Path) -> Said:
        """Say a recording."""
        return self._room.say(wav)
