# SPDX-License-Identifier: Apache-2.0
"""A dialog manager with virtual timers, and the user and the nodes around it."""

from dataclasses import replace

from va_loader.dialog_commands import ShowState, Speak, WriteRecord
from va_loader.dialog_events import (
    DialogRules,
    Opened,
    Outcome,
    Playback,
    PlaybackKind,
    ReplyPiece,
    SpeakEnded,
    SpeechFinal,
    SpeechStarted,
    WakeHeard,
)
from va_loader.dialog_manager import DialogManager
from va_loader.event_bus import Timers

RULES = DialogRules(apologies=('Sorry.',), patience=('One moment.',))
START = 1_000_000.0


class Talk:
    """A dialog manager with its timers, and what it has said so far."""

    def __init__(self, rules=RULES):
        self.manager = DialogManager(rules, lambda phrases: phrases[0], lambda: '00ff')
        self.timers = Timers()
        self.now = START
        self.done = []
        self.tell(Opened())

    def tell(self, event):
        """Hand over an event; returns the commands other than timers."""
        commands = self.manager.handle(event, self.now)
        new = []
        for command in commands:
            if type(command).__name__ == 'SetTimer':
                self.timers.set(command)
            elif type(command).__name__ == 'CancelTimer':
                self.timers.cancel(command.name)
            else:
                new.append(command)
        self.done += new
        return new

    def wait(self, seconds):
        """Let time pass; timers fire on the way."""
        end, new = self.now + seconds, []
        while (at := self.timers.next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            for fired in self.timers.take_due(self.now):
                new += self.tell(fired)
        self.now = end
        return new

    @property
    def key(self):
        return self.manager.key

    @property
    def state(self):
        return self.of(ShowState)[-1].name

    def of(self, kind, commands=None):
        return [c for c in (self.done if commands is None else commands) if isinstance(c, kind)]

    def records(self, role):
        return [c for c in self.of(WriteRecord) if c.role == role]

    def events(self):
        return [record.text for record in self.records('EVENT')]

    def say_phrase(self):
        """The acknowledgement or apology that was last begun ends."""
        return self.tell(SpeakEnded(self.of(Speak)[-1].token))

    # What the user and the nodes do

    def wake(self, word_end=None, **changes):
        word_end = self.now - 0.1 if word_end is None else word_end
        event = WakeHeard(self.now, word_end, 'hey jarvis', 'Yes?', 0.9)
        return self.tell(replace(event, **changes))

    def start_speech(self):
        return self.tell(SpeechStarted(self.key, self.now))

    def final(self, text='what time is it', outcome=Outcome.SPEECH, **changes):
        event = SpeechFinal(self.key, outcome, self.now, text, 'en', 0.9, self.now - 2.3,
                            self.now - 0.3, 'silence')
        return self.tell(replace(event, **changes))

    def piece(self, text, is_last=False, **changes):
        return self.tell(replace(ReplyPiece(self.key, text, is_last, self.now), **changes))

    def play(self, kind, text='', **changes):
        event = Playback(self.manager._turn.voice_key, kind, self.now, text,
                         synthesised_s=self.now)
        return self.tell(replace(event, **changes))

    def acknowledged(self):
        """Wake it and let the acknowledgement end."""
        self.wake()
        self.wait(0.5)
        self.tell(SpeakEnded(self.of(Speak)[-1].token))
        return self

    def asked(self):
        """... then ask."""
        self.acknowledged()
        self.wait(0.5)
        self.start_speech()
        self.wait(3.0)
        self.final()
        return self

    def speaking(self):
        """... and let the reply begin to play."""
        self.asked()
        self.wait(0.2)
        self.piece('It is ')
        self.wait(0.1)
        self.piece('noon.', is_last=True)
        self.wait(0.3)
        self.play(PlaybackKind.STARTED, remaining_s=2.0)
        return self

    def answered(self):
        """... and end."""
        self.speaking()
        self.wait(2.0)
        self.play(PlaybackKind.FINISHED, 'It is noon.')
        return self
