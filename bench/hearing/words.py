# SPDX-License-Identifier: Apache-2.0
"""Words: error rates in silence and during playback, one breath, inventions.

``raw`` is Whisper alone on the sound of the microphone, cut where the sentence is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from virtual_room.hearing import words

from hearing.chain import Chain, Engines, RATE, setting, T0
from hearing.echo import replies
from hearing.room import Echo, play
from hearing.sounds import background, in_room, join, Sound, Sounds, with_noise
from hearing.texts import COMMANDS, PAUSED, VOICES
from va_common.audio_io import float_to_int16
from va_loader.dialog_manager import NOTICED_S, WITHDRAWN_S
from va_stt.turn_events import Kind, Outcome
from va_stt.wake_phrase import cut_wake_phrase

FLOOR_DBFS = -65.0
ACKNOWLEDGED_S = setting('ack_delay_ms', 'loader') / 1000
"""Who can be noticed before this gets no "Yes?"."""
DOUBLE_TALK_FROM_S = 6.0
"""Of playback, before the user speaks over it."""


def aligned(expected: str, heard: str) -> tuple[int, list[str]]:
    """Levenshtein distance of words, and the expected words that are missing or wrong."""
    a, b = words(expected), words(heard)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            table[i][j] = max(i, j) if not (i and j) else min(
                table[i - 1][j] + 1, table[i][j - 1] + 1,
                table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
    i, j, missing = len(a), len(b), []
    while i:
        if j and table[i][j] == table[i - 1][j - 1] + (a[i - 1] != b[j - 1]):
            if a[i - 1] != b[j - 1]:
                missing.append(a[i - 1])
            i, j = i - 1, j - 1
        elif j and table[i][j] == table[i][j - 1] + 1:
            j -= 1
        else:
            missing.append(a[i - 1])
            i -= 1
    return table[-1][-1], missing[::-1]


class Rate:
    """Word error rate over many sentences: all errors over all expected words."""

    def __init__(self) -> None:
        self._errors = self._words = 0
        self.wrong: list[str] = []

    def add(self, expected: str, heard: str) -> None:
        """Count one sentence."""
        errors, _ = aligned(expected, heard)
        self._errors += errors
        self._words += len(words(expected))
        if errors:
            self.wrong.append(f'{expected} → {heard}')

    @property
    def value(self) -> float:
        """0 is perfect."""
        return round(self._errors / max(1, self._words), 4)


def error_rates(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``wer``, ``wer_raw``, ``wer_during_playback`` of the same sentences in the same room."""
    spoken = [(text.replace('|', ''), sounds.say(text.replace('|', ''), VOICES[i % len(VOICES)]))
              for i, text in enumerate(PAUSED[:8] if quick else PAUSED[:50])]
    rooms = list(sounds.rooms().items())[:3]
    far = replies(sounds)
    rates = {key: Rate() for key in ('wer', 'wer_raw', 'wer_during_playback')}
    for number, (text, clip) in enumerate(spoken):
        name, response = rooms[number % len(rooms)]
        near = with_noise(join(1.0, in_room(clip, response), 2.6), FLOOR_DBFS, number)
        rates['wer'].add(text, _heard(models, near))
        cut = float_to_int16(near)[int(0.7 * RATE):round(1.3 * RATE) + clip.size]
        rates['wer_raw'].add(text, models.whisper.transcribe(cut).text)
        over = join(DOUBLE_TALK_FROM_S, in_room(clip, response), 2.6)
        playing = np.resize(far, over.size)
        echo = Echo(response, (0.06, 0.15, 0.3)[number % 3], -12.0, floor_dbfs=FLOOR_DBFS)
        chain = Chain(models)
        chain.listen(DOUBLE_TALK_FROM_S - 0.2, no_speech_timeout_s=60.0)
        play(chain, playing, echo, over, number)
        rates['wer_during_playback'].add(text, chain.text)
    return {key: rate.value for key, rate in rates.items()} | {
        'wer_detail': {'sentences': len(spoken), 'rooms': [name for name, _ in rooms],
                       'wrong': {key: rate.wrong[:12] for key, rate in rates.items()}}}


def _heard(models: Engines, sound: Sound) -> str:
    chain = Chain(models)
    chain.listen(no_speech_timeout_s=60.0)
    chain.hear(sound)
    return chain.text


# One breath -----------------------------------------------------------------------------------


def one_breath(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``one_breath_word_loss`` of "Hey Jarvis, …" by six voices.

    Counted are words of the command that the product did not hear though Whisper hears them in
    the clip, and all of them where the wake word was not heard. ``yes_spoken_over``: how many got
    a "Yes?" all the same.
    """
    lost, wrong, not_woken, spoken_over, detail = 0, 0, [], [], []
    for number, command in enumerate(COMMANDS[:12] if quick else COMMANDS):
        clip = sounds.say(f'Hey Jarvis, {command}', VOICES[number % len(VOICES)])
        sound = with_noise(join(1.5, clip, 2.8), FLOOR_DBFS, number)
        raw = models.whisper.transcribe(
            float_to_int16(sound)[int(1.2 * RATE):round(1.8 * RATE) + clip.size]).text
        chain = Chain(models, wake='hey_jarvis')
        word_end_s = _wake_then_listen(chain, sound)
        if word_end_s is None:
            not_woken.append(command)
            lost += len(words(command))
            continue
        if _yes_is_said(word_end_s, chain.told):
            spoken_over.append(command)
        missing = aligned(command, chain.text)[1]
        also_raw = aligned(command, _after(raw))[1]
        gone = [w for w in missing if w not in also_raw]
        lost, wrong = lost + len(gone), wrong + len(missing)
        if missing:
            detail.append({'said': command, 'heard': chain.text, 'raw': raw, 'lost': gone})
    return {'one_breath_word_loss': lost, 'yes_spoken_over': len(spoken_over),
            'one_breath_detail': {'commands': number + 1, 'words_wrong': wrong,
                                  'not_woken': not_woken, 'spoken_over': spoken_over,
                                  'cases': detail}}


def _wake_then_listen(chain: Chain, sound: Sound) -> float | None:
    """Play a sound; on the wake the turn is started as the loader does, 40 ms later."""
    step = int(0.04 * RATE)
    for first in range(0, sound.size - step + 1, step):
        woken = bool(chain.wakes)
        chain.hear(sound[first:first + step])
        if woken and not chain.turns:
            chain.listen(chain.wakes[0].word_end_s - T0, wake_phrase='hey jarvis')
    return chain.wakes[0].word_end_s if chain.wakes else None


def _yes_is_said(word_end_s: float, told: list[tuple[float, Kind]]) -> bool:
    """Whether the loader would have "Yes?" spoken before it knows of speech."""
    due_s = word_end_s + ACKNOWLEDGED_S
    for at_s, kind in told:
        if kind is Kind.STARTED and at_s <= due_s:
            return False
        if at_s > due_s:
            break
        due_s = at_s + NOTICED_S if kind is Kind.NOTICED else max(
            at_s + WITHDRAWN_S, word_end_s + ACKNOWLEDGED_S)
    return True


def _after(text: str) -> str:
    """The text without the wake phrase, cut as the product does."""
    return cut_wake_phrase(text, 'hey jarvis')


# Inventions -----------------------------------------------------------------------------------

KINDS = ('quiet', 'music', 'pink', 'coughs', 'white', 'knocks', 'music', 'hum', 'fan', 'clicks',
         'music')


def invented(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``invented_texts`` in half an hour in which nobody speaks.

    One turn after another is listened for, as follow-up windows are. Raw: Whisper on each 8 s of
    every fifth minute.
    """
    minutes = 3 if quick else 30
    texts, raw, raw_windows = [], 0, 0
    chain = Chain(models)
    recorded = list(sounds.noises().items())
    for minute in range(minutes):
        kind = KINDS[minute % len(KINDS)]
        sound = background(kind, 60.0, minute)
        if recorded and minute % 5 == 4:
            kind, noise = recorded[minute // 5 % len(recorded)]
            sound = with_noise(sound, -35.0, minute, noise)
        for first in range(0, sound.size, RATE):
            if chain.final is not None or not chain.turns:
                chain.listen(no_speech_timeout_s=4.0)
            chain.hear(sound[first:first + RATE])
            final = chain.final
            if final is not None and final.outcome is Outcome.SPEECH:
                texts.append(f'{kind}: {final.text}')
        if minute % 5 == 0:
            for first in range(0, sound.size - 8 * RATE, 8 * RATE):
                heard = models.whisper.transcribe(float_to_int16(sound[first:first + 8 * RATE]))
                raw, raw_windows = raw + bool(heard.text.strip()), raw_windows + 1
    return {'invented_texts': len(texts), 'invented_texts_raw': raw,
            'invented_detail': {'minutes': minutes, 'texts': texts[:20],
                                'raw_windows_of_8_s': raw_windows}}
