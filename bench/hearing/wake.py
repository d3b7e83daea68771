# SPDX-License-Identifier: Apache-2.0
"""Wake word: heard when said, not when not: recall, false wakes, self-wakes.

``raw`` is openWakeWord alone on the sound of the microphone: a score of 0.6 in any frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr

from hearing.chain import Chain, Engines, RATE, THRESHOLD
from hearing.check_texts import trained_on
from hearing.echo import replies
from hearing.room import Echo, play
from hearing.sounds import at_level, background, in_room, join, read, Sound, Sounds, with_noise
from hearing.texts import (
    ASSISTANT,
    NEAR_MISSES,
    OWN_WAKE_WORDS,
    PAUSED,
    VOICES,
    WAKE_VOICES,
)
from va_common.audio_io import float_to_int16

AROUND_S = 1.0
HOUR_S = 3600.0
NEAR = 'near miss: '
PERSON = 'recording: '
SELF_ROOMS = (('dry', 0.02, -8.0), ('living room', 0.06, -8.0), ('kitchen', 0.15, -8.0),
              ('hall', 0.3, -8.0), ('living room', 0.15, 0.0))
"""Room, delay in s, and level of the echo in dB; the last one louder than any user."""
Clip = tuple[str, Sound]
Heard = tuple[str, float, int]
"""Name, length in s, and how often it woke."""


def recall(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``wake_recall``, of people where recordings are given, else of generated voices."""
    groups = {'hey_jarvis voices': ('hey_jarvis', _voices(sounds, quick))}
    people = [(p.stem, at_level(read(p), -26.0)) for p in sounds.files('wake/alexa/*')]
    if people:
        groups['alexa people'] = ('alexa', people[:10] if quick else people)
    detail = {name: _recall_of(models, sounds, word, clips)
              for name, (word, clips) in groups.items()}
    chosen = detail['alexa people' if people else 'hey_jarvis voices']
    return {'wake_recall': chosen['quiet'], 'wake_recall_raw': chosen['quiet_raw'],
            'wake_recall_snr10': chosen['snr10'], 'wake_recall_snr10_raw': chosen['snr10_raw'],
            'wake_recall_detail': detail}


def _voices(sounds: Sounds, quick: bool) -> list[Clip]:
    voices = WAKE_VOICES[:8] if quick else WAKE_VOICES
    rooms = list(sounds.rooms().values())[:3]
    return [(voice, in_room(sounds.say('Hey Jarvis.', voice), rooms[number % 3]))
            for number, voice in enumerate(voices)]


def _recall_of(models: Engines, sounds: Sounds, word: str, clips: list[Clip]) -> dict[str, Any]:
    noises: list[Sound | None] = [None, *sounds.noises().values()]
    quiet = [(name, with_noise(join(AROUND_S, c, AROUND_S), -75.0, n))
             for n, (name, c) in enumerate(clips)]
    noisy = [(name, with_noise(join(AROUND_S, c, AROUND_S), -36.0, n, noises[n % len(noises)]))
             for n, (name, c) in enumerate(clips)]
    out: dict[str, Any] = {'clips': len(clips)}
    for title, group in (('quiet', quiet), ('snr10', noisy)):
        raw = [name for name, clip in group if _raw(models, word, clip)]
        heard, twice = _heard(models, word, group)
        out |= {title: _share(heard, clips), f'{title}_raw': _share(raw, clips),
                f'{title}_missed': sorted({n for n, _ in clips} - set(heard)),
                f'{title}_woke_twice': twice}
    return out


def _share(heard: list[str], clips: list[Clip]) -> float:
    return round(len(heard) / len(clips), 4)


def _raw(models: Engines, word: str, clip: Sound) -> bool:
    _, engine = models.wake(word)
    samples = float_to_int16(clip)
    return any(engine.score(samples[i:i + 1280])[word] >= THRESHOLD
               for i in range(0, samples.size - 1279, 1280))


def _heard(models: Engines, word: str, clips: list[Clip]) -> tuple[list[str], int]:
    """Which clips woke, all in one stream through the whole path; how often one woke again."""
    chain = Chain(models, transcribe=_no_text, wake=word)
    heard, twice = [], 0
    for name, clip in clips:
        before = len(chain.wakes)
        chain.hear(clip)
        count = len(chain.wakes) - before
        heard += [name] if count else []
        twice += max(0, count - 1)
    return heard, twice


# False wakes ----------------------------------------------------------------------------------


def false_wakes(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``false_wakes_per_hour`` of an hour in which nobody says the wake phrase but the assistant.

    It begins with names and sentences that were chosen for sounding like the phrase, more of them
    than a real hour has, and with people who say other wake words; ``detail`` counts them apart.
    """
    chain = Chain(models, transcribe=_no_text, wake='hey_jarvis')
    heard = []
    for name, sound in _hour(sounds, 300.0 if quick else HOUR_S):
        before = len(chain.wakes)
        chain.hear(sound)
        heard.append((name, sound.size / RATE, len(chain.wakes) - before))
    heard += _own_speech(models, sounds, quick)
    total = _hourly(heard)
    groups: dict[str, list[Heard]] = {}
    causes: Counter[str] = Counter()
    for item in heard:
        groups.setdefault(_group(item[0]), []).append(item)
        causes[item[0]] += item[2]
    return {'false_wakes_per_hour': total['per_hour'],
            'false_wakes_detail': {
                **total, 'by_group': {group: _hourly(items) for group, items in groups.items()},
                'by': {name: count for name, count in causes.items() if count}}}


def _hourly(heard: list[Heard]) -> dict[str, Any]:
    wakes, hours = sum(h[2] for h in heard), sum(h[1] for h in heard) / HOUR_S
    return {'sounds': len(heard), 'hours': round(hours, 3), 'wakes': wakes,
            'per_hour': round(wakes / hours, 2)}


def _group(name: str) -> str:
    """What a sound counts as; a near miss may be one that the second look was trained on."""
    if name.startswith(NEAR):
        known = name.removeprefix(NEAR) in trained_on('hey_jarvis')
        return 'near misses trained on' if known else 'near misses'
    if name.startswith(f'{PERSON}jarvis'):
        return 'people saying jarvis'
    return 'people' if name.startswith(PERSON) else name


def _hour(sounds: Sounds, length_s: float) -> Iterator[Clip]:
    """Near misses and recordings once, then talk, music and noises in turn until it is enough."""
    random = np.random.default_rng(11)
    total_s = 0.0
    for name, sound in _forever(sounds, random, length_s):
        yield name, sound
        total_s += sound.size / RATE
        if total_s >= length_s:
            return


def _forever(sounds: Sounds, random: np.random.Generator, length_s: float) -> Iterator[Clip]:
    rooms = list(sounds.rooms().values())
    noises: list[Sound | None] = [None, *sounds.noises().values()]
    once: list[Clip] = [(f'{NEAR}{t}', sounds.say(t, VOICES[(i + 3 * k) % len(VOICES)]))
                        for k in (0, 1) for i, t in enumerate(NEAR_MISSES)]
    once += [(f'{PERSON}{p.stem}', at_level(read(p), -26.0))
             for p in sounds.files('wake/other/*')]
    talk: list[Clip] = [(f'talk: {t}', sounds.say(t.replace('|', ''), VOICES[i % len(VOICES)]))
                        for i, t in enumerate(PAUSED[:20 if length_s < HOUR_S else 50])]
    talk += [(f'{PERSON}{p.stem}', at_level(read(p), -26.0))
             for p in (*sounds.files('speech/*.wav'), *sounds.files('wake/alexa/*'))]
    kinds = ('music', 'quiet', 'coughs', 'pink', 'knocks', 'hum', 'fan', 'clicks')
    for name, clip in once:
        yield name, with_noise(join(1.0, clip, 1.0), -70.0, int(random.integers(1 << 30)))
    for number in range(1_000_000):
        if number % 4 == 3:
            kind = kinds[number // 4 % len(kinds)]
            yield kind, background(kind, 30.0, number)
            continue
        parts = [talk[int(random.integers(len(talk)))] for _ in range(6)]
        words = join(*(p for _, clip in parts for p in (_varied(clip, random), 0.6)))
        words = in_room(words, rooms[number % len(rooms)])
        level_dbfs = float(random.choice((-75.0, -55.0, -45.0)))
        yield 'talk', with_noise(words, level_dbfs, number, noises[number % len(noises)])


def _varied(clip: Sound, random: np.random.Generator) -> Sound:
    """The clip by a larger or smaller speaker, near or far."""
    speed = random.uniform(0.88, 1.14)
    return np.asarray(soxr.resample(clip, RATE, RATE / speed) * random.uniform(0.2, 1.5),
                      np.float32)


def _own_speech(models: Engines, sounds: Sounds, quick: bool) -> list[Heard]:
    heard = []
    far = replies(sounds, 2 if quick else 5)
    for number, (name, delay_s, gain_db) in enumerate(SELF_ROOMS[:2] if quick else SELF_ROOMS):
        chain = Chain(models, transcribe=_no_text, wake='hey_jarvis')
        echo = Echo(sounds.rooms()[name], delay_s, gain_db)
        length_s = play(chain, far, echo, seed=number).size / RATE
        heard.append(('own speech', length_s, len(chain.wakes)))
    return heard


# Self-wakes -----------------------------------------------------------------------------------


def self_wakes(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``self_wakes``: of 50 times that the assistant says its own wake word while idle."""
    texts = OWN_WAKE_WORDS[:4] if quick else OWN_WAKE_WORDS
    said = wakes = raw = 0
    rooms: dict[str, int] = {}
    for number, (name, delay_s, gain_db) in enumerate(SELF_ROOMS[:2] if quick else SELF_ROOMS):
        far = join(0.5, *(p for text in texts for p in (sounds.say(text, ASSISTANT, -20.0), 2.0)))
        chain = Chain(models, transcribe=_no_text, wake='hey_jarvis')
        echo = Echo(sounds.rooms()[name], delay_s, gain_db)
        heard = play(chain, far, echo, seed=number)
        said += len(texts)
        wakes += len(chain.wakes)
        rooms[f'{name}, {delay_s * 1000:.0f} ms, {gain_db:+.0f} dB'] = len(chain.wakes)
        raw += _raw_count(models, heard)
    return {'self_wakes': wakes, 'self_wakes_raw': raw,
            'self_wakes_detail': {'texts_said': said, 'by_room': rooms}}


def _raw_count(models: Engines, heard: Any) -> int:
    chain = Chain(models, transcribe=_no_text, wake='hey_jarvis', cancel=False)
    chain.hear(heard.astype(np.float32) / 32768.0)
    return len(chain.wakes)


def _no_text(samples: Any) -> None:
    raise AssertionError('nobody listens here')
