# SPDX-License-Identifier: Apache-2.0
"""``barge_in_ms``: the product in the virtual room, on real devices, is spoken over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import itertools
import math
import os
from pathlib import Path
import tempfile
from typing import Any

from command_line import EndedEarly
import numpy as np
from numpy.typing import NDArray
from virtual_room.hearing import RATE, read_recording
from virtual_room.observer import Observer, Seen
from virtual_room.product import Product, write_config
from virtual_room.room import VirtualRoom
from virtual_room.room_process import RoomSettings
from virtual_room.voices import Voices
from voice.ears import NotComing

from hearing.chain import Engines
from hearing.sounds import Sounds
from hearing.texts import INTERRUPTIONS, STORIES, VOICES
from va_common.ros_time import to_seconds
from va_interfaces.msg import PlaybackEvent

PORT_OFFSET = 5200
DOMAIN = '91'
LOUD_DBFS = -50.0
STEP = RATE // 200
SILENT_S = 0.3
"""Silence as long as this is no pause of the speaker's own."""
BEFORE_S = 0.1
"""Who begins while nothing sounded for so long has interrupted nothing."""
SPOKEN_S = 2.5
"""Of an answer before it is spoken over."""
TOO_LATE_S = 0.5
"""An answer that ends by itself so soon after somebody began was not spoken over."""
BOOT_S, ANSWER_S, STOP_S = 120.0, 90.0, 20.0
ASKED = 3
"""How often for an answer that does not come, or is too short to be spoken over."""
ENDS = (PlaybackEvent.INTERRUPTED, PlaybackEvent.FINISHED)


@dataclass
class Trial:
    """Somebody spoke over an answer."""

    onset_s: float
    ended_s: float
    """When the answer ended, Unix time; infinite: it did not in time."""
    stopped: bool
    """Whether it did so because of who spoke."""

    @property
    def spoken_over(self) -> bool:
        """Whether there was an answer left to be stopped."""
        return self.stopped or self.ended_s > self.onset_s + TOO_LATE_S


def measure(models: Engines, sounds: Sounds, quick: bool) -> dict[str, Any]:
    """Speak over one answer after another; each interruption asks for the next story."""
    del models, sounds  # the product has its own; the room plays files, at its own level
    with tempfile.TemporaryDirectory(prefix='va_talkover_') as folder:
        trials, speaker, t0_s = _hold(Path(folder), 5 if quick else 40)
    spans_ms = [span * 1000 for trial in trials if trial.stopped
                and (span := silent_after_s(speaker, trial.onset_s - t0_s)) is not None]
    figures: dict[str, Any] = {'n': len(spans_ms)}
    if spans_ms:
        figures |= {f'p{share}': round(float(np.percentile(spans_ms, share)))
                    for share in (50, 95)}
    return {'barge_in_ms': figures,
            'talkover_detail': {'trials': sum(trial.spoken_over for trial in trials),
                                'ended_by_itself': sum(not t.spoken_over for t in trials),
                                'not_stopped': sum(t.spoken_over and not t.stopped
                                                   for t in trials),
                                'spans_ms': [round(span) for span in spans_ms]}}


def silent_after_s(speaker: NDArray[np.floating[Any]], onset_s: float) -> float | None:
    """How long after ``onset_s`` the speaker fell silent; None: it was so before.

    Args:
        speaker: what it played, float (n,) at 16 kHz.
        onset_s: where somebody began to speak, seconds from the first sample.
    """
    steps = speaker[:speaker.size // STEP * STEP].reshape(-1, STEP).astype(np.float64)
    loud = np.mean(np.square(steps), axis=1) > 10 ** (LOUD_DBFS / 10)
    onset = round(onset_s * RATE / STEP)
    if not loud[max(0, onset - round(BEFORE_S * RATE / STEP)):onset + 1].any():
        return None
    quiet = round(SILENT_S * RATE / STEP)
    for first in range(onset, loud.size - quiet):
        if not loud[first:first + quiet].any():
            return (first - onset) * STEP / RATE
    return None


def _hold(folder: Path, count: int) -> tuple[list[Trial], NDArray[Any], float]:
    os.environ.setdefault('ROS_DOMAIN_ID', DOMAIN)
    config = write_config(folder / 'assistant.ini', {
        'system.port_offset': str(PORT_OFFSET), 'logger.log_dir': str(folder / 'log'),
        'loader.parallel_phase_timeout_ms': '60000', 'loader.phase_timeout_ms': '60000'})
    trials: list[Trial] = []
    with VirtualRoom(RoomSettings(out=str(folder / 'room'))) as room, Observer() as observer:
        product = Product(config, room.environment(), folder / 'output.log')
        try:
            product.start()
            if observer.wait(lambda e: e.topic == 'loader/state' and e.message.name == 'idle',
                             BOOT_S, alive=lambda: product.running) is None:
                raise NotComing(f'talkover: not ready in {BOOT_S:g} s: {product.last_lines()}')
            with EndedEarly() as early:
                for trial in _interrupt(room, observer, product):
                    trials.append(trial)
                    if sum(each.spoken_over for each in trials) == count:
                        break
            product.stop()
        finally:
            product.kill()
    early.require(trials)
    return trials, read_recording(room.speaker_wav), room.t0_s


def _interrupt(room: VirtualRoom, observer: Observer, product: Product) -> Iterator[Trial]:
    """One trial after the other. Raises NotComing when no answer comes, asked three times."""
    voices, answer, unanswered = Voices(), ('', 0), 0
    stories = itertools.cycle(STORIES)
    mark = observer.mark()
    room.say(voices.wav(next(stories), VOICES[0]))
    for number in itertools.count():
        while (next_answer := _await_story(observer, mark, answer, product)) is None:
            unanswered += 1
            if unanswered == ASKED or not product.running:
                raise NotComing(f'talkover: no answer, asked {unanswered} times; running: '
                                f'{product.running}')
            _await_sleep(observer)
            mark = observer.mark()
            room.say(voices.wav(next(stories), VOICES[0]))
        answer, unanswered, mark = next_answer, 0, observer.mark()
        onset_s, _ = room.say(voices.wav(INTERRUPTIONS[number % len(INTERRUPTIONS)],
                                         VOICES[number % len(VOICES)])).times()
        trial = Trial(onset_s, *_ended(observer, mark, answer))
        yield trial
        if not trial.stopped:  # nobody heard that another story was asked for
            _await_sleep(observer)
            room.say(voices.wav(next(stories), VOICES[0]))


def _await_story(observer: Observer, mark: int, before: tuple[str, int],
                 product: Product) -> tuple[str, int] | None:
    """The next answer, when so much of it was heard that somebody may speak over it."""
    seen = observer.wait(lambda e: (
        e.topic == 'tts/playback' and e.message.source == PlaybackEvent.SOURCE_REPLY
        and _turn_of(e) != before
        and (e.message.position_s >= SPOKEN_S or (e.message.kind in ENDS and e.message.text))),
        ANSWER_S, mark=mark, alive=lambda: product.running)
    return None if seen is None or seen.message.kind in ENDS else _turn_of(seen)


def _await_sleep(observer: Observer) -> None:
    """The next dialog has no history: of answers broken off a small model learns short ones."""
    if observer.state() != 'idle':
        observer.wait(lambda e: e.topic == 'loader/state' and e.message.name == 'idle',
                      STOP_S, mark=observer.mark())


def _turn_of(seen: Seen) -> tuple[str, int]:
    return seen.message.dialog_id, seen.message.turn


def _ended(observer: Observer, mark: int, answer: tuple[str, int]) -> tuple[float, bool]:
    """When the answer ended, infinite if it did not in time, and whether it was stopped."""
    seen = observer.wait(lambda e: (
        e.topic == 'tts/playback' and e.message.source == PlaybackEvent.SOURCE_REPLY
        and _turn_of(e) == answer and e.message.kind in ENDS), STOP_S, mark=mark)
    if seen is None:
        return math.inf, False
    return to_seconds(seen.message.header.stamp), seen.message.kind == PlaybackEvent.INTERRUPTED
