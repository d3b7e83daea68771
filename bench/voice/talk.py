# SPDX-License-Identifier: Apache-2.0
"""A user who asks question after question and goes by what is heard from the speaker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import time

from virtual_room.room import VirtualRoom
from virtual_room.voices import Voices

from voice.ears import Ears
from voice.systems import System
from voice.texts import WAKE

ACK_S, REPLY_S, SPEAK_S = 5.0, 25.0, 90.0
ACK_QUIET_S, REPLY_QUIET_S, OVER_QUIET_S = 0.4, 1.6, 0.4
ASLEEP_S = 6.0
"""After the last sound of a dialog: the follow-up window of 4 s is over."""
GIVE_UP_S = 14.0
"""After a turn that got no answer: the assistant has given up, too."""


@dataclass(frozen=True)
class Line:
    """Something the user said."""

    kind: str
    """wake or question."""
    text: str
    voice: str
    wav: Path
    start_s: float
    end_s: float
    """First and last voiced sample at the microphone by the room's clock, Unix seconds."""
    answered: bool
    """Whether something was heard from the speaker in time."""


class Talk:
    """Leads dialogs with one system and takes down what was said when.

    Args:
        tell: takes a line about what happens.
        wait_over: waits until the answer to what was said up to a time (Unix s) is over by the
            system's own account, for so many seconds at most, and returns whether it is. Without
            it a silence of :data:`REPLY_QUIET_S` is taken for the end.
    """

    def __init__(self, room: VirtualRoom, system: System, ears: Ears, voices: Voices,
                 tell: Callable[[str], None],
                 wait_over: Callable[[float, float], bool] | None = None) -> None:
        self.lines: list[Line] = []
        self._room = room
        self._system = system
        self._ears = ears
        self._voices = voices
        self._tell = tell
        self._wait_over = wait_over

    def hold(self, dialogs: list[tuple[str, tuple[str, ...]]]) -> None:
        """All dialogs. Raises NotComing when the system is gone."""
        for number, (voice, questions) in enumerate(dialogs, 1):
            self._tell(f'  dialog {number} of {len(dialogs)}, {voice}')
            self._system.new_dialog()
            if self._system.wakes and not self._wake(voice):
                continue
            answered = all(self._ask('question', text, voice) for text in questions)
            if self._system.wakes:
                self._be_silent(ASLEEP_S if answered else GIVE_UP_S)

    def _wake(self, voice: str) -> bool:
        """Whether the wake word was acknowledged, at the second try at the latest."""
        for _ in range(2):
            if self._ask('wake', WAKE, voice):
                return True
            self._be_silent(GIVE_UP_S)
        return False

    def _be_silent(self, span_s: float) -> None:
        """Until nothing was heard for so long."""
        self._ears.wait_for_quiet(self._ears.now_s, span_s, SPEAK_S)

    def _ask(self, kind: str, text: str, voice: str) -> bool:
        wake = kind == 'wake'
        wav = self._voices.wav(text, voice)
        start_s, end_s = self._room.say(wav).times()
        heard_s = self._ears.wait_for_sound(
            start_s - self._room.t0_s, end_s - time.time() + (ACK_S if wake else REPLY_S))
        self.lines.append(Line(kind, text, voice, wav, start_s, end_s, heard_s is not None))
        if heard_s is None:
            self._tell(f'    no answer to: {text}')
            return False
        if wake or self._wait_over is None:
            self._ears.wait_for_quiet(heard_s, ACK_QUIET_S if wake else REPLY_QUIET_S, SPEAK_S)
            return True
        is_over = self._wait_over(end_s, SPEAK_S)
        self._ears.wait_for_quiet(heard_s, OVER_QUIET_S, SPEAK_S)
        return is_over
