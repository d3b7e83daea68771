# SPDX-License-Identifier: Apache-2.0
"""The first sign of speech; over the assistant's own voice it is believed when it has words."""

from __future__ import annotations

import re

from va_stt.speech_evidence import invented
from va_stt.turn_events import Kind, TranscribeRequest
from va_stt.vad_finalize import Onset
from va_stt.whisper_cuda import Transcription

NOTICED = 0.3
"""Sum of probabilities (see :data:`va_stt.vad_finalize.ALARM_EVIDENCE`) from which it is worth
being quieter, or waiting with "Yes?"."""
GLIMPSES_S = (0.5, 0.9, 1.4, 2.0)
"""Voice after which a person who does not pause is looked at for words."""
CERTAIN_LOGPROB = -0.8
"""Words of an interruption are surer than this; coughs and knocks give "you" at -1.7."""
SHORT_S = 0.32
"""Voice, in seconds, below which words must be surer: a cough has less, and gives a "Thank you."
at -0.5; "No", "Yes" and "Wait" have 0.35 to 0.5."""
SHORT_LOGPROB = -0.35
BRIEF_S = 0.45
"""Voice, in seconds, below which it may be a cough: to look twice held the answer for 3 s."""
STOP_LOGPROB = -1.2
"""The same for what somebody is likely to say over an answer: a "Stop" in a room has -0.5 to
-1.1."""
_NO_WORD = re.compile(r"[^\w' ]")


class Alarm:
    """Tells a run of voice before it is known to be speech."""

    def __init__(self) -> None:
        self.noticed = False

    def notice(self, onset: Onset) -> Kind | None:
        """NOTICED when a run of voice begins, WITHDRAWN when it ends before it is speech."""
        if not self.noticed and onset.evidence >= NOTICED:
            self.noticed = True
            return Kind.NOTICED
        if self.noticed and not onset.in_progress:
            self.noticed = False
            return Kind.WITHDRAWN
        return None


class Interruption:
    """What a turn that listens over playback does beyond any other.

    Args:
        stop_phrases: what somebody is likely to say.
    """

    def __init__(self, stop_phrases: tuple[str, ...] = ()) -> None:
        self._stop_phrases = stop_phrases
        self.believed = False
        """Whether words were heard: it is no false alarm any more."""
        self._looked = 0

    def glimpse_due(self, voiced_s: float) -> bool:
        """Whether words should be looked for in the middle of speech; each look is due once."""
        due = not self.believed and self._looked < len(GLIMPSES_S) \
            and voiced_s >= GLIMPSES_S[self._looked]
        self._looked += due
        return due

    def most_likely_nothing(self, voiced_s: float) -> bool:
        """Whether it is more likely a cough than words."""
        return not self.believed and voiced_s < BRIEF_S

    def withdraw(self) -> None:
        """It was nothing; the next alarm is looked at anew."""
        self._looked = 0

    def has_words(self, heard: Transcription, voiced_s: float) -> bool:
        """Whether Whisper heard somebody say something."""
        if is_stop_phrase(heard.text, self._stop_phrases):
            return heard.avg_logprob >= STOP_LOGPROB
        enough = SHORT_LOGPROB if voiced_s < SHORT_S else CERTAIN_LOGPROB
        return invented(heard, voiced_s) is None and heard.avg_logprob >= enough


def glimpse(request: TranscribeRequest) -> TranscribeRequest:
    """The same sound, looked at in the middle of speech."""
    return TranscribeRequest(
        request.revision, request.from_s, request.to_s, request.voiced_s, True, True)


def is_stop_phrase(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether a text is one of the phrases and no more, whatever its case and punctuation."""
    return _plain(text) in {_plain(phrase) for phrase in phrases}


def _plain(text: str) -> str:
    return ' '.join(_NO_WORD.sub(' ', text.lower().replace('’', "'")).split())
