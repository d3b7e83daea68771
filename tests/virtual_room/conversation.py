# SPDX-License-Identifier: Apache-2.0
"""The scripted conversation. Every wait has a deadline; what does not come is named in one
line.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from va_interfaces.msg import PlaybackEvent, Transcript, Wake
from virtual_room.narrator import Narrator
from virtual_room.observer import Observer, Seen
from virtual_room.product import Product
from virtual_room.script import Line, Script
from virtual_room.voices import SyntheticUser

BOOT_S, WAKE_S, ACKNOWLEDGE_S = 120.0, 5.0, 10.0
UNDERSTAND_S, ANSWER_S, SPEAK_S, SLEEP_S = 20.0, 40.0, 120.0, 15.0
NEAR_MISS_S = 3.0


class NotComing(Exception):
    """Something that should have happened did not in its time."""


@dataclass
class Said:
    """A line the user has said, with the times of its voice at the microphone (Unix seconds)."""

    line: Line
    start_s: float
    end_s: float
    wakes: bool
    'whether it holds the wake word'


@dataclass
class Turn:
    """One question and its answer."""

    said: Said
    dialog_id: str
    number: int
    woken: bool
    heard: str = ''
    reply: str = ''
    playback_start_s: float = 0.0
    playback_end_s: float = 0.0


@dataclass
class Record:
    """What happened in the conversation."""

    boot_ms: float = 0.0
    greeting_s: tuple[float, float] = (0.0, 0.0)
    said: list[Said] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    wakes: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    exit_code: int | None = None


class Conversation:
    """Leads the user through the script and takes down what the assistant does."""

    def __init__(self, product: Product, observer: Observer, user: SyntheticUser, script: Script,
                 narrator: Narrator, greeting: str) -> None:
        self.record = Record()
        self._product = product
        self._observer = observer
        self._user = user
        self._script = script
        self._narrator = narrator
        self._greeting = greeting
        self._mark = 0

    def hold(self) -> None:
        """The whole script. Raises `NotComing`."""
        self._boot()
        self._narrator.note('(the user wakes it, and waits to be acknowledged)')
        self._wake_and_wait(self._script.wake)
        self._turn(self._script.first, woken=True)
        self._narrator.note('(a follow-up question, without the wake word)')
        self._pause(0.8)
        self._turn(self._script.follow_up, woken=False)
        self._sleep()
        self._narrator.note('(a near miss of the wake word: it must stay asleep)')
        self._near_miss(self._script.near_miss)
        for line in self._script.one_breath:
            self._narrator.note('(wake word and question in one breath)')
            self._pause(1.0)
            self._turn(line, woken=True, wakes=True)
            self._sleep()

    def collect(self) -> Record:
        """The record, with all wakes seen."""
        self.record.wakes = [e for e in self._observer.since(0, 'kwd/wake')
                             if e.message.source == Wake.SOURCE_WAKE_WORD]
        return self.record

    def _boot(self) -> None:
        done = self._wait(
            lambda e: e.topic == 'loader/state' and e.message.name in ('idle', 'fatal'),
            BOOT_S,
            'the assistant did not become ready (state idle)',
        )
        if done.message.name == 'fatal':
            raise NotComing(f'the assistant gave up: {done.message.reason}')
        self.record.boot_ms = round((done.received_s - self._product.started_s) * 1000)
        if self._greeting:
            self._take_greeting()
        self._narrator.note(f'ready after {self.record.boot_ms / 1000:.1f} s')
        self._pause(0.7)

    def _take_greeting(self) -> None:
        """The greeting may end before or after the state becomes idle."""
        self._mark = 0
        start = self._wait_playback(
            '', PlaybackEvent.STARTED, ACKNOWLEDGE_S, 'the greeting was not spoken'
        )
        end = self._wait_playback(
            '', PlaybackEvent.FINISHED, ACKNOWLEDGE_S, 'the greeting did not end'
        )
        self.record.greeting_s = (start.stamp_s, end.stamp_s)

    def _wake_and_wait(self, line: Line) -> None:
        said = self._say(line, wakes=True)
        self._wait_wake(said)
        self._wait_playback('', PlaybackEvent.FINISHED, ACKNOWLEDGE_S,
                            'the wake word was not acknowledged by voice')
        self._pause(0.5)

    def _wait_wake(self, said: Said) -> None:
        self._wait(lambda e: e.topic == 'kwd/wake', said.end_s - time.time() + WAKE_S,
                   f'"{said.line.shown}" did not wake the assistant (no /kwd/wake)')

    def _turn(self, line: Line, *, woken: bool, wakes: bool = False) -> None:
        said = self._say(line, wakes=wakes)
        if wakes:
            self._wait_wake(said)
        final = self._wait(
            lambda e: (e.topic == 'stt/transcript' and e.message.kind == Transcript.FINAL
                       and e.received_s > said.start_s), said.end_s - time.time() + UNDERSTAND_S,
            f'"{line.text}" was not transcribed (no final /stt/transcript)').message
        if final.outcome != Transcript.OUTCOME_SPEECH:
            raise NotComing(f'"{line.text}" was not heard as speech (outcome {final.outcome})')
        turn = Turn(said, final.dialog_id, final.turn, woken, heard=final.text)
        self.record.turns.append(turn)
        self._answer(turn)

    def _answer(self, turn: Turn) -> None:
        key = f'{turn.dialog_id}/{turn.number}'
        what = f'the answer to "{turn.said.line.text}"'
        start = self._wait_playback(key, PlaybackEvent.STARTED, ANSWER_S, f'{what} did not begin')
        turn.playback_start_s = start.stamp_s
        end = self._wait_playback(key, PlaybackEvent.FINISHED, SPEAK_S, f'{what} did not end')
        turn.playback_end_s = end.stamp_s
        turn.reply = self._reply_text(turn)
        self._wait(
            lambda e: (
                e.topic == 'loader/turn_report'
                and e.message.dialog_id == turn.dialog_id
                and e.message.turn == turn.number
            ),
            5.0,
            f'no /loader/turn_report for {what}',
        )

    def _reply_text(self, turn: Turn) -> str:
        chunks = [e.message for e in self._observer.since(0, 'llm/chunk')
                  if (e.message.dialog_id, e.message.turn) == (turn.dialog_id, turn.number)]
        newest = max((c.revision for c in chunks), default=0)
        pieces = {c.sequence: c.text for c in chunks if c.revision == newest}
        return ''.join(pieces[k] for k in sorted(pieces)).strip()

    def _sleep(self) -> None:
        self._narrator.note('(the user stays silent)')
        self._wait(lambda e: e.topic == 'loader/state' and e.message.name == 'idle', SLEEP_S,
                   'the dialog did not end after the follow-up window (no state idle)')
        self._narrator.note('the dialog has ended, it is asleep')
        self._pause(0.5)

    def _near_miss(self, line: Line) -> None:
        said = self._say(line, wakes=False)
        woken = self._observer.wait(lambda e: e.topic == 'kwd/wake',
                                    said.end_s - time.time() + NEAR_MISS_S, mark=self._mark,
                                    alive=lambda: self._product.running)
        if woken is None:
            self._narrator.note('still asleep')
            return
        self.record.problems.append(
            f'"{line.shown}" woke the assistant (score {woken.message.score:.2f})'
        )
        self._wait(lambda e: e.topic == 'loader/state' and e.message.name == 'idle', 30.0,
                   'the dialog of the false wake did not end')

    def _say(self, line: Line, *, wakes: bool) -> Said:
        self._mark = self._observer.mark()
        self._narrator.user(line.shown)
        start_s, end_s = self._user.play(line.wav).times()
        said = Said(line, start_s, end_s, wakes)
        self.record.said.append(said)
        return said

    def _wait_playback(self, utterance: str, kind: int, timeout_s: float, missing: str) -> Seen:
        """Playback of a reply (``utterance``), or of the assistant's own phrase (empty)."""
        def match(seen: Seen) -> bool:
            message: Any = seen.message
            if seen.topic != 'tts/playback':
                return False
            ours = (message.utterance_id == utterance if utterance
                    else message.source == PlaybackEvent.SOURCE_SPEAK)
            if ours and message.kind == PlaybackEvent.FAILED:
                raise NotComing(f'{missing}: tts says {message.error_msg}')
            return bool(ours and message.kind == kind)
        return self._wait(match, timeout_s, missing)

    def _wait(self, match: Callable[[Seen], bool], timeout_s: float, missing: str) -> Seen:
        seen = self._observer.wait(match, max(0.0, timeout_s), mark=self._mark,
                                   alive=lambda: self._product.running)
        if seen is not None:
            return seen
        if not self._product.running:
            raise NotComing(
                f'{missing}: the assistant ended with exit code {self._product.exit_code}: '
                f'{self._product.last_lines()}'
            )
        raise NotComing(f'{missing} within {timeout_s:.0f} s; state is '
                        f'"{self._observer.state() or "unknown"}"')

    def _pause(self, seconds: float) -> None:
        """The user takes their time (as people do)."""
        time.sleep(seconds)
