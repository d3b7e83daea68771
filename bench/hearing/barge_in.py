# SPDX-License-Identifier: Apache-2.0
"""Barge-in: what does not stop an answer, on the chain; how quick what does is, in ``talkover``.

The assistant speaks, listens over its own voice, and is held as the product holds it: 0.1 s after
stt tells an alarm, until words or their lack, at most 2 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearing.chain import BLOCK, Chain, Engines, RATE, setting, T0
from hearing.echo import DELAYS_S, replies
from hearing.room import AHEAD_S, at_microphone, capture_times, CHUNK, Echo, play_times
from hearing.sounds import event, in_room, join, Sound, Sounds
from va_common.audio_io import float_to_int16
from va_stt.blocks import Block
from va_stt.turn_events import Kind, TurnEvent

TO_SPEAKER_S = 0.1
"""From an event of stt to its effect in the air; measured in ``talkover``."""
RESUME_S = setting('barge_in_resume_ms', 'loader') / 1000
WARM_UP_S = 6.0
"""Before the first cough: AEC3 knows the room after 4 s."""
EVERY_S = 4.0


@dataclass
class Alarms:
    """What the assistant took for somebody who speaks over it."""

    held: int = 0
    stopped: int = 0
    texts: tuple[str, ...] = ()

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(self.held + other.held, self.stopped + other.stopped,
                      self.texts + other.texts)


class Speaker:
    """What is played, with the silences of the times in which it was held."""

    def __init__(self, far: Sound) -> None:
        self.far = far
        self._held_at: int | None = None

    def hold(self, at_s: float) -> None:
        """Be silent from ``at_s`` on, for as long as the product waits for words."""
        at = round(at_s * RATE)
        self._held_at = at
        self.far = join(self.far[:at], RESUME_S, self.far[at:])

    def go_on(self, at_s: float) -> None:
        """Go on at ``at_s`` from where it was, if that is before it would by itself."""
        if self._held_at is not None:
            until = self._held_at + round(RESUME_S * RATE)
            self.far = np.delete(self.far, slice(min(round(at_s * RATE), until), until))
            self._held_at = None


class Talk:
    """The assistant speaks in a room, over it is listened, and near-end sounds may come.

    Args:
        far: what it says.
        near: what else is heard at the microphone; empty: nothing.
    """

    def __init__(self, chain: Chain, far: Sound, echo: Echo, near: Sound, seed: int) -> None:
        self._chain, self._echo, self._near, self._seed = chain, echo, near, seed
        self._speaker = Speaker(far)
        self._random = np.random.default_rng(seed)
        self._sent = self._told = 0
        most = 2 * far.size
        self._played_s = play_times(most, echo.jitter_s, self._random)
        self._captured_s = capture_times(most, echo, self._random)
        self._mix()

    def run(self) -> Alarms:
        """Let it speak to its end."""
        alarms = Alarms()
        self._listen()
        for number, start_s in enumerate(self._captured_s):
            heard = self._heard[number * BLOCK:(number + 1) * BLOCK]
            if heard.size < BLOCK:
                break
            now_s = number * BLOCK / (RATE * (1.0 + self._echo.drift))
            self._send(now_s)
            self._chain.feed(Block(heard, start_s))
            alarms += self._react(now_s + TO_SPEAKER_S)
        return alarms

    def _listen(self) -> None:
        self._chain.listen(over_playback=True, no_speech_timeout_s=1e6,
                           stop_phrases=setting('stop_phrases', 'loader'))
        self._told = 0

    def _react(self, at_s: float) -> Alarms:
        alarms = Alarms()
        events, self._told = self._chain.events[self._told:], len(self._chain.events)
        for told in events:
            alarms += self._take(told, at_s)
        if self._chain.final is not None:
            self._listen()
        return alarms

    def _take(self, told: TurnEvent, at_s: float) -> Alarms:
        if told.kind is Kind.STARTED:
            self._speaker.hold(at_s)
            self._mix(at_s)
            return Alarms(held=1)
        if told.kind in (Kind.WITHDRAWN, Kind.PARTIAL, Kind.FINAL):
            self._speaker.go_on(at_s)
            self._mix(at_s)
        words = told.kind is Kind.FINAL and bool(told.text)
        return Alarms(stopped=int(words), texts=(told.text,) if words else ())

    def _mix(self, from_s: float = 0.0) -> None:
        """What is heard from ``from_s`` on; what was announced for later is announced anew."""
        far = self._speaker.far
        self._sent = min(self._sent, round(from_s * RATE) // CHUNK * CHUNK)
        near = np.zeros(far.size, np.float32)
        near[:self._near.size] = self._near[:far.size]
        self._heard: NDArray[np.int16] = at_microphone(far, self._echo, near, self._seed)

    def _send(self, now_s: float) -> None:
        """The reference, a little ahead; silence too, where sound was announced before."""
        far = self._speaker.far
        while self._sent < far.size \
                and self._sent / RATE - self._random.uniform(*AHEAD_S) < now_s:
            chunk = float_to_int16(far[self._sent:self._sent + CHUNK])
            if chunk.any() or not self._chain.far_end.covers(T0 + self._sent / RATE):
                self._chain.far_end.add(chunk, self._played_s[self._sent // BLOCK])
            self._sent += CHUNK


def measure(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """``false_barge_ins`` of its own speech and of coughs and knocks."""
    rooms = list(sounds.rooms().values())
    far = replies(sounds)
    minutes, own = 0.0, Alarms()
    for number in range(2 if quick else round(30 * 60 * RATE / far.size)):
        echo = Echo(rooms[number % len(rooms)], DELAYS_S[number // len(rooms) % len(DELAYS_S)])
        own += Talk(Chain(models), far, echo, np.zeros(0, np.float32), number).run()
        minutes += far.size / RATE / 60
    noises, count = _noises(models, far, rooms, 10 if quick else 50)
    return {
        'false_barge_ins': {
            'own_speech_minutes': round(minutes, 1), 'own_speech': own.stopped,
            'coughs_and_knocks': count, 'of_coughs_and_knocks': noises.stopped},
        'barge_in_detail': {
            'held_by_own_speech': own.held, 'held_by_coughs_and_knocks': noises.held,
            'texts': [*own.texts, *noises.texts][:20]}}


def _noises(models: Engines, far: Sound, rooms: list[Sound], wanted: int) -> tuple[Alarms, int]:
    """Coughs and knocks in turn while it speaks."""
    alarms, count = Alarms(), 0
    while count < wanted:
        random = np.random.default_rng(count)
        room = rooms[count % len(rooms)]
        near = np.zeros(far.size, np.float32)
        at = round(WARM_UP_S * RATE)
        while at < far.size - 2 * RATE and count < wanted:
            noise = event('coughs' if count % 2 else 'knocks', random)
            near[at:at + noise.size] += noise.astype(np.float32)
            at += round(EVERY_S * RATE)
            count += 1
        alarms += Talk(Chain(models), far, Echo(room), in_room(near, room), count).run()
    return alarms, count
