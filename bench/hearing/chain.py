# SPDX-License-Identifier: Apache-2.0
"""The product's own chain, driven without devices and faster than real time.

Capture pipeline → echo canceller → voice detector → turn listener → Whisper, and the wake word
detector on the clean sound: the objects that the nodes va_stt and va_kwd are made of, with their
default settings, fed by a clock that counts samples.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from va_common.audio_io import float_to_int16, TimedBuffer
from va_common.ids import TurnKey
from va_common.model_catalogue import model_path
from va_common.profile import Profile, resolve
from va_common.settings import SETTINGS
from va_common.testing import at_once
from va_kwd.detector import Detection, Detector
from va_kwd.resting_scorer import RestingScorer
from va_kwd.wake_engine import WakeEngine
from va_kwd.wake_words import parse_wake_words, WakeWord
from va_stt import engines
from va_stt.blocks import Block
from va_stt.capture_pipeline import CapturePipeline
from va_stt.echo_canceller import EchoCanceller, make_echo_canceller
from va_stt.far_end import FarEnd
from va_stt.listening import Listening
from va_stt.turn_events import Kind, TurnEvent
from va_stt.turn_listener import TurnRequest
from va_stt.vad_finalize import VadFrame

RATE = 16000
BLOCK = 320
T0 = 1_000_000.0
BUFFER_S = 40.0
THRESHOLD = 0.6
COOLDOWN_S = 1.0


def setting(key: str, section: str = 'stt') -> Any:
    """The default of a setting; ``system.models_dir`` names its section itself."""
    if '.' in key:
        section, key = key.split('.')
    return next(s.default for s in SETTINGS if (s.section, s.key) == (section, key))


class Engines:
    """The models, loaded when first used."""

    @cached_property
    def profile(self) -> Profile:
        """What this machine runs."""
        return resolve('auto')

    @cached_property
    def vad(self) -> Any:
        """Voice detector."""
        return engines.load_vad(setting)

    @cached_property
    def whisper(self) -> Any:
        """The recogniser of the profile."""
        return engines.load_whisper(setting, self.profile)

    @cached_property
    def end_of_turn(self) -> Any:
        """What judges the ends of turns by their sound."""
        return engines.load_end_of_turn(setting)

    def canceller(self) -> EchoCanceller:
        """A new echo canceller."""
        return engines.load_canceller(setting)

    def wake(self, name: str) -> tuple[tuple[WakeWord, ...], WakeEngine]:
        """A wake word and its engine, fresh; the one given out before is used up."""
        words, engine = self._wake_engine(name)
        engine.reset()
        return words, engine

    @lru_cache(maxsize=4)  # noqa: B019  the engines live as long as the process
    def _wake_engine(self, name: str) -> tuple[tuple[WakeWord, ...], WakeEngine]:
        words = parse_wake_words([name], model_path('openwakeword'))
        return words, WakeEngine(words, model_path('openwakeword', 'melspectrogram.onnx'),
                                 model_path('openwakeword', 'embedding_model.onnx'))


@dataclass
class _Late:
    """Results that arrive after the time that the engine computed, by the clock of the sound.

    The time is what a quiet machine needs: the CPU time of the process over the engine's threads.
    """

    threads: int = 1
    due: list[tuple[float, Future[Any], Any]] = field(default_factory=list)
    now_s: float = T0
    spent_s: list[float] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        began = time.process_time()
        result = function(*arguments)
        self.results.append(result)
        self.spent_s.append((time.process_time() - began) / self.threads)
        self.due.append((self.now_s + self.spent_s[-1], future, result))
        return future

    def advance(self, now_s: float) -> None:
        self.now_s = now_s
        ready = [item for item in self.due if item[0] <= now_s]
        self.due = [item for item in self.due if item[0] > now_s]
        for _, future, result in ready:
            future.set_result(result)


class Chain:
    """One microphone, listened to by stt and kwd.

    Args:
        models: the engines.
        transcribe: replaces Whisper, for figures that need no words.
        smart: whether the end-of-turn model is asked; the time that it and Whisper compute then
            passes by the clock of the sound, too.
        wake: name of the wake word that kwd hears; empty: kwd is left out.
        cancel: whether the echo canceller is on.
    """

    def __init__(self, models: Engines, *, transcribe: Callable[..., Any] | None = None,
                 smart: bool = False, wake: str = '', cancel: bool = True) -> None:
        self.far_end = FarEnd()
        self.events: list[TurnEvent] = []
        self.frames: list[VadFrame] = []
        self.clean: list[Block] = []
        self.wakes: list[Detection] = []
        self.now_s = T0
        self.judged, self.transcribed = _Late(), _Late(setting('threads'))
        self.turns = 0
        self.told: list[tuple[float, Kind]] = []
        """What was told of the present turn and when, by the clock of the sound."""
        self._sequence = 0
        self._wake = None
        if wake:
            words, engine = models.wake(wake)
            self._wake = Detector(RestingScorer(engine), words, THRESHOLD, COOLDOWN_S)
        models.vad.reset()
        buffer = TimedBuffer(BUFFER_S)
        self.listening = Listening(
            buffer.read, transcribe or models.whisper.transcribe,
            self.transcribed.submit if smart else at_once,
            models.end_of_turn.probability if smart else None, self.judged.submit)
        canceller = models.canceller() if cancel else make_echo_canceller(False, '', False)
        self.pipeline = CapturePipeline(
            self.far_end, canceller, models.vad, buffer, self._on_chunk, self._on_frame,
            engines.load_linear(setting) if cancel else None)

    def _on_chunk(self, chunk: Block) -> None:
        self.clean.append(chunk)
        if self._wake is not None:
            self._sequence += 1
            self.wakes += self._wake.process(chunk.samples, self._sequence, chunk.start_s)

    def _on_frame(self, frame: VadFrame) -> None:
        self.frames.append(frame)
        self.listening.on_frame(frame)

    def feed(self, block: Block) -> None:
        """Take a block of the microphone."""
        self.pipeline.feed(block)
        self.now_s = block.end_s
        for worker in (self.judged, self.transcribed):
            worker.advance(self.now_s)

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Take sound of the microphone, in blocks of 20 ms, without a speaker."""
        samples = float_to_int16(sound)
        for first in range(0, samples.size - BLOCK + 1, BLOCK):
            self.feed(Block(samples[first:first + BLOCK], self.now_s))

    def listen(self, listen_from_s: float | None = None, **options: Any) -> None:
        """Begin a turn, as stt/start does; ``listen_from_s`` is 0 where the sound began."""
        self.turns += 1
        self.events, self.told = [], []
        from_s = self.now_s if listen_from_s is None else T0 + listen_from_s
        key = TurnKey('d20261122T102233.123456-1a2b', self.turns)
        self.listening.start(TurnRequest(key, from_s, **options), self._tell)

    def _tell(self, event: TurnEvent) -> None:
        self.events.append(event)
        self.told.append((self.now_s, event.kind))

    @property
    def final(self) -> TurnEvent | None:
        """The FINAL of the turn; None: there was none yet."""
        return next((e for e in self.events if e.kind is Kind.FINAL), None)

    @property
    def text(self) -> str:
        """Of the FINAL; empty: nothing was understood."""
        return self.final.text if self.final is not None else ''

    def clean_sound(self) -> NDArray[np.int16]:
        """Everything after the echo canceller, int16 (n,)."""
        return np.concatenate([c.samples for c in self.clean])
