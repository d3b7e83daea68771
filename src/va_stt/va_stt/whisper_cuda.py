# SPDX-License-Identifier: Apache-2.0
"""Whisper through faster-whisper: float16 on CUDA, int8 on the CPU, local files only.

An utterance goes through a window of its own length first; Whisper's full window of 30 s, which
takes several times as long, is asked only where that one looks wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from va_common.audio_io import int16_to_float
from va_common.errors import AssistantError, ErrorCode
from va_stt.blocks import Int16, RATE
from va_stt.whisper_window import WindowDecoder

DOUBTFUL_LOGPROB = -0.7
"""Below this the long window is asked too."""
HOPELESS_LOGPROB = -1.35
"""Of a cough or knock over the assistant's voice 8 of 10 have less, of a short word 2 of 24."""
REPEATED = 2.4
"""Compression ratio of a text that repeats itself, as openai/whisper has it."""

WARM_UP_SAMPLES = RATE // 10


@dataclass(frozen=True)
class Transcription:
    """What Whisper made of one utterance, with its own evidence."""

    text: str
    language: str
    avg_logprob: float
    """Mean log-probability of the tokens; 0 is certain."""
    no_speech_prob: float
    """Probability, 0 to 1, of Whisper's own token for 'no speech'."""
    compression_ratio: float
    """How well the text compresses; above 2.4 it repeats itself."""
    continues: float = 0.0
    """Probability, 0 to 1, of a comma or dots at its end: more words are to come."""

    @property
    def confidence(self) -> float:
        """0 to 1: the geometric mean of the token probabilities."""
        return min(1.0, math.exp(self.avg_logprob))


NOTHING = Transcription('', '', -10.0, 1.0, 0.0)


class WhisperEngine:
    """A loaded model. Not thread-safe: one worker owns it.

    Args:
        model_dir: folder of a CTranslate2 model.
        device: ``cuda`` or ``cpu``.
        language: code of the language spoken, ``en``.
        beam_size: 1 (greedy) to 10.
        threads: CPU threads.

    Raises:
        AssistantError: ENGINE_FAILED when the model or the device cannot be used.
    """

    def __init__(self, model_dir: Path, device: str, language: str, beam_size: int,
                 threads: int) -> None:
        from faster_whisper import WhisperModel

        # Read by oneDNN at its first convolution: it would keep up to 1024 of them, one for each
        # length of an utterance, 1 MB each. They take no measurable time to make.
        os.environ.setdefault('DNNL_PRIMITIVE_CACHE_CAPACITY', '0')
        compute = 'float16' if device == 'cuda' else 'int8'
        try:
            self._model = WhisperModel(str(model_dir), device=device, compute_type=compute,
                                       cpu_threads=threads, local_files_only=True)
        except Exception as error:
            message = f'whisper {model_dir} on {device} ({compute}): cannot be loaded ({error})'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error
        if language != 'en' and not self._model.model.is_multilingual:
            message = f'whisper {model_dir}: knows English only, expected language=en, ' \
                      f'not {language!r}'
            raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
        self._language = language
        self._beam_size = beam_size
        self._window = WindowDecoder(self._model, language, beam_size)

    def warm_up(self) -> None:
        """One pass over silence, in the short window: proves the model; the first one allocates.

        Raises:
            AssistantError: ENGINE_FAILED.
        """
        try:
            self._window.decode(np.zeros(WARM_UP_SAMPLES, np.float32))
        except Exception as error:
            raise AssistantError(
                ErrorCode.ENGINE_FAILED, f'whisper failed on silence: {error}') from error

    def transcribe(self, samples: Int16, quick: bool = False) -> Transcription:
        """Transcribe one utterance.

        Args:
            samples: shape (n,), int16, 16 kHz.
            quick: leave it at the short window where that is hopeless: 0.4 instead of 2.5 s of
                CPU time for a sound that most likely has no words.

        Raises:
            AssistantError: ENGINE_FAILED.
        """
        try:
            heard = self._transcribe_short(samples)
            if quick and (heard is None or heard.avg_logprob < HOPELESS_LOGPROB):
                return heard or NOTHING
            if heard is None or _is_doubtful(heard):
                return self._transcribe_whole(samples)
            return heard
        except Exception as error:
            seconds = len(samples) / RATE
            message = f'whisper failed on {seconds:.1f} s of sound: {error}'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error

    def _transcribe_short(self, samples: Int16) -> Transcription | None:
        """From a window as long as the utterance; None when it is too long or looks wrong."""
        from faster_whisper.transcribe import get_compression_ratio

        heard = self._window.decode(int16_to_float(samples))
        if heard is None or not heard.text:
            return None
        return Transcription(
            heard.text, self._language, heard.avg_logprob, heard.no_speech_prob,
            get_compression_ratio(heard.text), heard.continues)

    def _transcribe_whole(self, samples: Int16) -> Transcription:
        segments, info = self._model.transcribe(
            int16_to_float(samples), language=self._language, beam_size=self._beam_size,
            temperature=0.0, without_timestamps=True, condition_on_previous_text=False,
            log_prob_threshold=None, no_speech_threshold=None,
            compression_ratio_threshold=None, vad_filter=False)
        return _joined(list(segments), info.language)


def _is_doubtful(heard: Transcription) -> bool:
    return heard.avg_logprob < DOUBTFUL_LOGPROB or heard.compression_ratio > REPEATED


def _joined(segments: list[Any], language: str) -> Transcription:
    """One transcription of all 30 s windows, its evidence the mean weighted by tokens."""
    if not segments:
        return NOTHING
    weights = [max(1, len(s.tokens)) for s in segments]
    return Transcription(
        text=' '.join(s.text.strip() for s in segments).strip(),
        language=language,
        avg_logprob=float(np.average([s.avg_logprob for s in segments], weights=weights)),
        no_speech_prob=min(s.no_speech_prob for s in segments),
        compression_ratio=max(s.compression_ratio for s in segments),
    )
