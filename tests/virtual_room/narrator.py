# SPDX-License-Identifier: Apache-2.0
"""Tells a person what happens in the room, as it happens."""
from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from typing import TextIO

from va_interfaces.msg import PlaybackEvent, ReplyChunk, Transcript, Wake
from virtual_room.observer import Seen

_COLOURS = {
    'user': '36',
    'assistant': '32',
    'note': '2',
    'good': '1;32',
    'bad': '1;31',
    'title': '1',
}


class Narrator:
    """Prints a line per event: time since the start, who, what."""

    def __init__(self, output: TextIO = sys.stdout, width: int = 100) -> None:
        self._output = output
        self._width = width
        self._colour = output.isatty() and 'NO_COLOR' not in os.environ
        self.zero_s: float | None = None
        "Unix time of the recordings' first sample: times shown are times in the recordings"
        self._lock = threading.Lock()
        self._replies: dict[tuple[str, int], _Reply] = {}
        self._wake_text = ''

    def title(self, text: str) -> None:
        self._print(self._paint('title', text))

    def plain(self, text: str = '') -> None:
        self._print(text)

    def user(self, text: str) -> None:
        self._line('user', 'You', f'“{text}”')

    def assistant(self, text: str) -> None:
        self._line('assistant', 'Assistant', f'“{text}”')

    def note(self, text: str) -> None:
        self._line('note', '', text)

    def verdict(self, good: bool, text: str) -> None:
        self._print(self._paint('good' if good else 'bad', text))

    def hear(self, seen: Seen) -> None:
        """Tell what a message of the assistant means, if it means something to a person."""
        message = seen.message
        if seen.topic == 'kwd/wake' and message.source == Wake.SOURCE_WAKE_WORD:
            self.note(f'wake word heard, {message.score:.0%} sure')
        elif seen.topic == 'stt/transcript' and message.kind == Transcript.FINAL:
            self._final(message)
        elif seen.topic == 'llm/chunk':
            self._reply(message.dialog_id, message.turn).add(message)
            self._tell_reply(message.dialog_id, message.turn)
        elif seen.topic == 'tts/playback':
            self._playback(message)

    def _final(self, message: Transcript) -> None:
        if message.outcome == Transcript.OUTCOME_SPEECH and message.dialog_id:
            self.note(f'understood: “{message.text}”')

    def _playback(self, message: PlaybackEvent) -> None:
        if message.source == PlaybackEvent.SOURCE_REPLY:
            if message.kind == PlaybackEvent.STARTED:
                self._reply(message.dialog_id, message.turn).started = True
                self._tell_reply(message.dialog_id, message.turn)
        elif message.kind == PlaybackEvent.FINISHED:
            self.assistant(message.text)

    def _reply(self, dialog_id: str, turn: int) -> _Reply:
        return self._replies.setdefault((dialog_id, turn), _Reply())

    def _tell_reply(self, dialog_id: str, turn: int) -> None:
        reply = self._reply(dialog_id, turn)
        if reply.started and reply.complete and not reply.told:
            reply.told = True
            self.assistant(reply.text)

    def _line(self, kind: str, who: str, text: str) -> None:
        clock = '' if self.zero_s is None else f'{time.time() - self.zero_s:.1f} s'
        head = f'{clock:>8}  {who:<10}'
        wrapped = textwrap.wrap(text, self._width - len(head)) or ['']
        body = ('\n' + ' ' * len(head)).join(wrapped)
        self._print(head + self._paint(kind, body))

    def _paint(self, kind: str, text: str) -> str:
        return f'\033[{_COLOURS[kind]}m{text}\033[0m' if self._colour else text

    def _print(self, text: str) -> None:
        with self._lock:
            self._output.write(text + '\n')
            self._output.flush()


class _Reply:
    """The text of one reply as it streams in; a newer revision replaces an older one."""

    def __init__(self) -> None:
        self.revision = -1
        self.pieces: dict[int, str] = {}
        self.complete = self.started = self.told = False

    def add(self, chunk: ReplyChunk) -> None:
        if chunk.revision > self.revision:
            self.revision, self.pieces, self.complete = chunk.revision, {}, False
        if chunk.revision == self.revision:
            self.pieces[chunk.sequence] = chunk.text
            self.complete = self.complete or chunk.is_last

    @property
    def text(self) -> str:
        return ''.join(self.pieces[k] for k in sorted(self.pieces)).strip()
