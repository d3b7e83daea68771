# SPDX-License-Identifier: Apache-2.0
"""Whisper on a window as long as the utterance, instead of 30 s of mostly silence.

Whisper was trained on windows of 30 s, and its encoder takes most of the time. CTranslate2 takes
shorter ones: an utterance of 3 s with 3 s of silence behind it is encoded in a fifth of the time.
Measured with ``base`` on 26 sentences and 26 beginnings of sentences: without timestamps and with
1 s of silence a third of them came out twice or more; with timestamps and 3 s of silence none did,
and the words were those of the long window. What looks wrong all the same is refused here, and
the caller takes the long window.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 16000
TAIL_S = 3.0
LONGEST_S = 24.0
"""Longer utterances go to the long window at once."""
TOKENS_AT_LEAST = 16
TOKENS_PER_S = 9.0
"""More than anybody says; what runs into the limit repeats itself."""
TIMESTAMP_S = 0.02
UNHEARD_S = 1.0
"""What is transcribed ends with a voice. A last timestamp so far before the end means that Whisper
took a pause for the end: of 54 sentences with one of 1.5 s it lost the rest of one, its timestamp
2.5 s early. Those of the others are at most 0.5 s early, in whole seconds as often as not."""
SENTENCE_WORDS = 3
"""Whisper does not always put a full stop behind less."""
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True)
class WindowText:
    """What was decoded, with its evidence."""

    text: str
    avg_logprob: float
    """Mean log-probability of the words; 0 is certain."""
    no_speech_prob: float
    continues: float
    """Probability of a comma or dots after the last word, where a full stop would end it."""


class WindowDecoder:
    """Greedy or beam decoding of one short window.

    Args:
        model: a ``faster_whisper.WhisperModel``.
        language: code of the language spoken.
        beam_size: 1 (greedy) to 10.
    """

    def __init__(self, model: Any, language: str, beam_size: int) -> None:
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_ctranslate2_storage, get_suppressed_tokens

        self._model = model
        self._beam_size = beam_size
        self._to_storage = get_ctranslate2_storage
        self._tokens = Tokenizer(model.hf_tokenizer, model.model.is_multilingual,
                                 task='transcribe', language=language)
        self._unfinished = [self._tokens.encode(mark)[0] for mark in (',', '...')]
        self._suppressed = list(get_suppressed_tokens(self._tokens, [-1]))

    def decode(self, sound: NDArray[np.float32]) -> WindowText | None:
        """Text of a sound (n,), float32 in [-1, 1), 16 kHz; None: better ask the long window."""
        length_s = sound.size / RATE
        if length_s > LONGEST_S:
            return None
        limit = TOKENS_AT_LEAST + round(TOKENS_PER_S * length_s)
        result = self._model.model.generate(
            self._encoded(sound), [list(self._tokens.sot_sequence)], beam_size=self._beam_size,
            return_logits_vocab=True, return_no_speech_prob=True, suppress_blank=True,
            suppress_tokens=self._suppressed, max_initial_timestamp_index=50,
            max_length=2 * limit)[0]
        ids = list(result.sequences_ids[0])
        if len(ids) >= limit:
            return None
        places = spoken_places(ids, self._tokens.eot, self._tokens.timestamp_begin, length_s)
        text = self._tokens.decode([ids[place] for place in places]).strip()
        if repeats(text) or stops_early(ids, self._tokens.timestamp_begin, length_s):
            return None
        logprobs = [_logprob(result.logits[0][place], ids[place]) for place in places]
        return WindowText(text, float(np.mean(logprobs)) if logprobs else -10.0,
                          float(result.no_speech_prob), self._continues(result, places))

    def _continues(self, result: Any, places: list[int]) -> float:
        """How much the sound asks for more words: Whisper hears a voice that stays up.

        Without any mark at the end: 1.
        """
        ids = result.sequences_ids[0]
        words = [p for p in places if _WORD.search(self._tokens.decode([ids[p]]))]
        if len(words) < SENTENCE_WORDS:
            return 0.0
        if words[-1] == places[-1]:
            return 1.0
        logits = result.logits[0][words[-1] + 1]
        return sum(math.exp(_logprob(logits, token)) for token in self._unfinished)

    def _encoded(self, sound: NDArray[np.float32]) -> Any:
        padded = np.concatenate([sound, np.zeros(round(TAIL_S * RATE), np.float32)])
        features = self._model.feature_extractor(padded, padding=0)
        even = features[:, :features.shape[-1] // 2 * 2]
        return self._model.model.encode(self._to_storage(np.ascontiguousarray(even[np.newaxis])))


def spoken_places(ids: list[int], end: int, first_timestamp: int, length_s: float) -> list[int]:
    """Where the text tokens are, of all segments that begin before the sound ends.

    Args:
        ids: as decoded: timestamps around segments of text tokens.
        end: the end token; timestamps and the like are above it.
        first_timestamp: the token of 0.00 s; each one more is 20 ms.
        length_s: length of the sound without the silence behind it.
    """
    kept: list[int] = []
    begins_s = 0.0
    for place, token in enumerate(ids):
        if token >= first_timestamp:
            begins_s = (token - first_timestamp) * TIMESTAMP_S
        elif token < end and begins_s < length_s:
            kept.append(place)
    return kept


def stops_early(ids: list[int], first_timestamp: int, length_s: float) -> bool:
    """Whether the last timestamp is well before the end of a sound: something came after it."""
    times_s = [(t - first_timestamp) * TIMESTAMP_S for t in ids if t >= first_timestamp]
    return len(times_s) > 1 and times_s[-1] < length_s - UNHEARD_S


def _logprob(logits: Any, token: int) -> float:
    """Log-probability of a token: its logit less the log of the sum of all exponentials."""
    values = np.asarray(logits.to_device(_cpu()), np.float64).ravel()
    top = values.max()
    return float(values[token] - top - np.log(np.exp(values - top).sum()))


def _cpu() -> Any:
    import ctranslate2

    return ctranslate2.Device.cpu


def repeats(text: str) -> bool:
    """Whether a text is the same three or more words twice or more, the last time cut short.

    Two words said over and over are left to the compression ratio: people do say "no, no, no".
    """
    words = _WORD.findall(text.lower())
    return any(all(words[i] == words[i - size] for i in range(size, len(words)))
               for size in range(3, len(words) // 2 + 1))
