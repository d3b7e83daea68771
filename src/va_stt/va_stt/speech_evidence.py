# SPDX-License-Identifier: Apache-2.0
"""Tells what Whisper heard from what it invented, by evidence, not by a list of words."""

from __future__ import annotations

import re

from va_stt.whisper_cuda import REPEATED, Transcription

CERTAIN_LOGPROB = -0.35
"""Above this Whisper is sure of its words, whatever its no-speech token says."""
LONG_CERTAIN_LOGPROB = -0.6
"""The same where the voice detector heard voice for ``LONG_S``: it would be wrong, too."""
LONG_S = 1.0
LOWEST_LOGPROB = -1.0
NO_SPEECH = 0.6
WORDS_PER_S = 9.0
"""Nobody speaks faster; two words are always allowed."""
_LETTERS = re.compile(r'\w')


def invented(heard: Transcription, voiced_s: float) -> str | None:
    """Why a transcription is taken for an invention; None when it is believed.

    Args:
        heard: of one utterance.
        voiced_s: seconds of it in which the voice detector heard voice.
    """
    if not _LETTERS.search(heard.text):
        return 'no words'
    if heard.avg_logprob < LOWEST_LOGPROB:
        return f'log-probability {heard.avg_logprob:.2f}'
    certain = LONG_CERTAIN_LOGPROB if voiced_s >= LONG_S else CERTAIN_LOGPROB
    if heard.no_speech_prob > NO_SPEECH and heard.avg_logprob < certain:
        return f'no-speech probability {heard.no_speech_prob:.2f}'
    if heard.compression_ratio > REPEATED:
        return f'compression ratio {heard.compression_ratio:.1f}'
    words = len(heard.text.split())
    if words > 2 + WORDS_PER_S * voiced_s:
        return f'{words} words in {voiced_s:.2f} s of voice'
    return None
