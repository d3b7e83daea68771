# SPDX-License-Identifier: Apache-2.0
"""Ends of turns: how long after the last word, and how often in the middle of a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from virtual_room.acoustics import voiced_span

from hearing.chain import Chain, Engines, RATE, T0
from hearing.sounds import in_room, join, Sound, Sounds, with_noise
from hearing.texts import PAUSED, VOICES
from va_stt.vad_finalize import Endpointing
from va_stt.whisper_cuda import Transcription

SILENCE_S = 2.0
FLOOR_DBFS = -62.0
LEAD_S, TAIL_S = 0.8, 3.0
PAUSES_S = (0.4, 1.5)
EDGE_S = 0.01
NEAR = 0.3
"""How far from where the bar should be, as a share of the sentence, its gap is looked for."""
SAID = Transcription('said', 'en', -0.1, 0.0, 1.0)


def boundary(clip: Sound, share: float) -> int:
    """Where a clip is cut: the middle of its longest quiet stretch near ``share`` of it.

    Quiet: 30 dB below the loudest 10 ms. Without such a stretch, its quietest 40 ms there.
    """
    hop = RATE // 100
    count = clip.size // hop
    power = np.mean(np.square(clip[:count * hop].reshape(count, hop)), axis=1)
    low, high = (int(np.clip(share + d, 0.08, 0.92) * count) for d in (-NEAR / 2, NEAR / 2))
    best, run = (0, 0), 0
    for index in range(low, high):
        run = run + 1 if power[index] < power.max() * 1e-3 else 0
        best = max(best, (run, index - run // 2))
    if best[0] >= 3:
        return best[1] * hop
    smooth = np.convolve(power, np.ones(4), 'same')
    return (low + int(np.argmin(smooth[low:high]))) * hop


def with_pause(clip: Sound, share: float, pause_s: float) -> Sound:
    """The clip with a silence put in near ``share`` of it; its edges are faded over 10 ms."""
    at = boundary(clip, share)
    before, after = clip[:at].copy(), clip[at:].copy()
    fade = round(EDGE_S * RATE)
    before[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    after[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    before = before[:voiced_span(before, RATE)[1]]
    after = after[voiced_span(after, RATE)[0]:]
    return join(before, pause_s, after)


def measure(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``endpoint_ms`` and ``false_cutoffs`` of both modes, a hundred sentences with a pause."""
    random = np.random.default_rng(21)
    room = sounds.rooms()['living room']
    ends: dict[str, list[float]] = {'fixed': [], 'smart': []}
    cut: dict[str, list[str]] = {'fixed': [], 'smart': []}
    heard: list[dict[str, Any]] = []
    judged: list[float] = []
    transcribed: list[float] = []
    texts = PAUSED[:16] if quick else PAUSED
    for number, text in enumerate(texts):
        pause_s = float(random.uniform(*PAUSES_S))
        clip = sounds.say(text.replace('|', ''), VOICES[number % len(VOICES)])
        clip = with_pause(clip, text.index('|') / len(text), pause_s)
        last_s = T0 + LEAD_S + voiced_span(clip, RATE)[1] / RATE
        sound = with_noise(in_room(join(LEAD_S, clip, TAIL_S), room), FLOOR_DBFS, number)
        for mode in ends:
            smart = mode == 'smart'
            chain = Chain(models, transcribe=None if smart else _said, smart=smart)
            chain.listen(endpointing=Endpointing(SILENCE_S, smart=smart))
            chain.hear(sound)
            final = chain.final
            if final is None or final.endpoint_s < last_s:
                cut[mode].append(f'{pause_s:.1f} s: {text}')
            else:
                ends[mode].append(final.endpoint_s - last_s)
            if smart:
                heard.append(_heard(chain, text, pause_s))
            judged += chain.judged.spent_s
            transcribed += chain.transcribed.spent_s
    return {
        'endpoint_ms': {mode: _percentiles(values) for mode, values in ends.items()},
        'false_cutoffs': {mode: len(values) for mode, values in cut.items()},
        'false_cutoff_share': {m: round(len(v) / len(texts), 3) for m, v in cut.items()},
        'turns_detail': {'sentences': len(texts), 'cut_off': cut, 'heard': heard,
                         'judgement_ms': _percentiles(judged),
                         'transcription_ms': _percentiles(transcribed)}}


def _heard(chain: Chain, text: str, pause_s: float) -> dict[str, Any]:
    """What was made of a sentence: of each of its pauses, in their order."""
    final = chain.final
    return {'text': text, 'pause_s': round(pause_s, 2),
            'end_probability': [round(p, 3) for p in chain.judged.results if p is not None],
            'texts': [[t.text, round(t.continues, 3)]
                      for t in chain.transcribed.results if t is not None],
            'reason': '' if final is None else final.endpoint_reason}


def _said(samples: object) -> Transcription:
    """Words do not matter here."""
    return SAID


def _percentiles(values: list[float]) -> dict[str, int]:
    if not values:
        return {}
    return {f'p{p}': round(1000 * float(np.percentile(values, p))) for p in (50, 95)}
