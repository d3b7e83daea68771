# SPDX-License-Identifier: Apache-2.0
"""The baseline: one step after another, with the assistant's own models and settings.

Silence of ``silence_ms``, then the whole transcription, then the whole answer, then all of its
sound, then it plays. No wake word, no echo canceller: it does not listen while it works or speaks.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

import numpy as np
import sounddevice

from va_common.audio_io import float_to_int16
from va_common.cache_folder import cache_folder
from va_common.model_catalogue import sha256_of
from va_common.profile import resolve
from va_common.settings import SETTINGS
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Deadlines
from va_llm.engine_factory import build_engine, EngineSettings, load_modelfile
from va_stt.engines import load_vad, load_whisper
from va_stt.silero_vad import FRAME
from va_tts import kokoro_client
from va_tts.trim_silence import tail_for, trim

RATE = 16000
SPEAKER_RATE = 48000
PREROLL_FRAMES = 10


def setting(key: str) -> Any:
    """The default of a setting of ``[stt]``; ``tts.voice`` names its section itself."""
    section, _, name = key.rpartition('.')
    return next(s.default for s in SETTINGS if (s.section, s.key) == (section or 'stt', name))


def tell(event: str, **fields: object) -> None:
    """A line for the benchmark."""
    print(json.dumps({'event': event} | fields), flush=True)


class Voice:
    """Text to sound, all of it at once."""

    def __init__(self) -> None:
        models = str(setting('system.models_dir'))
        choice = kokoro_client.choose_engine('onnx', 'cpu')
        self._engine = kokoro_client.load_engine(
            choice, models, 'cpu', setting('tts.threads'),
            cache_folder(setting('tts.cache_dir'), 'tts'),
            sha256_of(kokoro_client.model_file(choice, models)))
        self.speak('Hello.')

    def speak(self, text: str) -> np.ndarray:
        """Float32 at the speaker's rate."""
        import soxr
        samples = self._engine.synthesise(text, setting('tts.voice'), setting('tts.speed'))
        trimmed = trim(samples, kokoro_client.SAMPLE_RATE, tail_for(text))
        return np.asarray(soxr.resample(trimmed, kokoro_client.SAMPLE_RATE, SPEAKER_RATE))


class Mind:
    """What was said so far, and the next answer."""

    def __init__(self) -> None:
        modelfile = load_modelfile('')
        self._engine = build_engine('llama_cpp', modelfile, EngineSettings(), Deadlines())
        self._prefix = modelfile.prefix
        self._most = min(setting('llm.max_tokens'), modelfile.parameters.get('num_predict', 200))
        self._said: tuple[ChatMessage, ...] = ()
        self.answer('Hello!')
        self.forget()

    def forget(self) -> None:
        """A new dialog."""
        self._said = ()

    def answer(self, text: str) -> str:
        """The whole answer."""
        pieces: list[str] = []
        asked = (*self._said, ChatMessage('user', text))
        self._engine.generate(ChatRequest((*self._prefix, *asked), self._most), pieces.append,
                              CancelToken())
        reply = ''.join(pieces).strip()
        self._said = (*asked, ChatMessage('assistant', reply))
        return reply


class Microphone:
    """Frames of 32 ms from the default device; bounded."""

    def __init__(self) -> None:
        self._frames: queue.Queue[np.ndarray] = queue.Queue(maxsize=2000)
        self._stream = sounddevice.InputStream(
            RATE, FRAME, channels=1, dtype='float32', callback=self._take)
        self._stream.start()

    def _take(self, data: np.ndarray, *_: object) -> None:
        if not self._frames.full():
            self._frames.put_nowait(float_to_int16(data[:, 0]))

    def frame(self) -> np.ndarray | None:
        """The next frame; None when none came for a second."""
        try:
            return self._frames.get(timeout=1.0)
        except queue.Empty:
            return None

    def skip(self) -> None:
        """Forget what was not listened to."""
        while not self._frames.empty():
            self._frames.get_nowait()


class Sequential:
    """The loop."""

    def __init__(self) -> None:
        self._vad = load_vad(setting)
        self._whisper = load_whisper(setting, resolve('cpu'))
        self.mind = Mind()
        self._voice = Voice()
        self._speaker = sounddevice.OutputStream(SPEAKER_RATE, channels=1, dtype='float32')
        self._speaker.start()
        self._microphone = Microphone()
        self.ended = threading.Event()

    def run(self) -> None:
        """Listen and answer until the input ends."""
        while not self.ended.is_set():
            speech = self._listen()
            if speech is None:
                continue
            text = self._whisper.transcribe(speech).text
            tell('heard', text=text)
            reply = self.mind.answer(text)
            tell('reply', text=reply)
            self._speaker.write(self._voice.speak(reply).astype(np.float32).reshape(-1, 1))
            self._speaker.write(np.zeros((SPEAKER_RATE // 4, 1), np.float32))
            self._microphone.skip()

    def _listen(self) -> np.ndarray | None:
        """The next utterance, ended by ``silence_ms``; None when told to end."""
        self._vad.reset()
        frames: list[np.ndarray] = []
        voiced, silent = False, 0
        needed = setting('silence_ms') / 1000 * RATE / FRAME
        while not self.ended.is_set():
            if (frame := self._microphone.frame()) is None:
                continue
            frames.append(frame)
            is_voice = self._vad.probability(frame) >= setting('vad_threshold')
            silent = 0 if is_voice else silent + 1
            voiced = voiced or is_voice
            if not voiced:
                del frames[:-PREROLL_FRAMES]
            elif silent >= needed:
                return np.concatenate(frames[:len(frames) - silent + PREROLL_FRAMES])
        return None


def main() -> int:
    """Answer until standard input ends."""
    system = Sequential()
    worker = threading.Thread(target=system.run, name='sequential')
    worker.start()
    tell('ready')
    for line in sys.stdin:
        if line.strip() == 'new':
            system.mind.forget()
    system.ended.set()
    worker.join(5.0)
    sys.stdout.flush()
    os._exit(0)  # the engines' own threads are not waited for


if __name__ == '__main__':
    sys.exit(main())
