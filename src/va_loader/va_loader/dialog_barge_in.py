# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that lets the user speak over the answer.

    answer begins ─► stt listens for the next turn, over the assistant's voice
      noticed ─► quieter      started ─► held      words ─► the answer ends, that turn goes on
      withdrawn, or no words in time ─► the answer goes on from where it was
"""

from __future__ import annotations

from va_common.ids import TurnKey
from va_loader.dialog_commands import (
    How,
    PauseReply,
    StartListening,
    StopListening,
    StopReply,
)
from va_loader.dialog_core import ANSWERING, HEARING, Step
from va_loader.dialog_events import (
    Outcome,
    SpeechFinal,
    SpeechNoticed,
    SpeechPartial,
    SpeechStarted,
    SpeechWithdrawn,
)
from va_loader.dialog_recovery import DialogRecovery, MARGIN_S
from va_loader.dialog_turn import Turn
from va_loader.own_words import is_own, is_own_beginning

LISTEN_S = 120.0
"""The longest that stt may be asked to wait for speech; then it is asked again."""
CLOSING_TIMEOUT_S = 2.0
TOGETHER_S = 0.6
"""From the first sound of an answer to what its echo would begin as, 0.3 s of delay included."""
OWN_WORDS = 'its own words'
"""Why a turn is given up before its FINAL: llm answers each one that comes with words."""


class DialogBargeIn(DialogRecovery):
    """Listens while the assistant answers."""

    _over: Turn | None = None
    """The turn that is listened for meanwhile; it becomes the present one when words come."""
    _quiet = How.GO_ON
    """What was last asked of tts."""

    def _listen_over(self, turn: Turn, from_s: float) -> None:
        """Have stt listen for the next turn while this one is answered."""
        if not self.rules.barge_in or self._over is not None or 'stt' in self._lost:
            return
        self._over = Turn(self._next_key(turn), turn.phrase, from_s)
        self._out.add(StartListening(
            self._over.key, from_s, turn.phrase, LISTEN_S, True, self.rules.stop_phrases))

    def _over_of(self, key: TurnKey) -> Turn | None:
        """The turn that is listened for meanwhile, if ``key`` means it."""
        over = self._over
        return over if over is not None and over.is_of(key) else None

    # From the first sign to the words ---------------------------------------------------------

    def _on_noticed(self, event: SpeechNoticed) -> None:
        if self._over_of(event.key) is not None:
            self._quieten(How.DUCK)

    def _on_started_over(self, over: Turn, event: SpeechStarted) -> None:
        over.started = True
        over.speech_start_s = event.speech_start_s
        self._quieten(How.HOLD)

    def _on_withdrawn(self, event: SpeechWithdrawn) -> None:
        """It was a cough, a knock or an echo."""
        over = self._over_of(event.key)
        if over is not None:
            self._go_on(over, 'no words')
            return
        turn = self._current(event.key, (Step.LISTENING,))
        if turn is not None and turn.started:
            super()._follow_up(self._now)  # the answer has ended meanwhile

    def _on_resume(self) -> None:
        """No words in time. If they come all the same, they still end the answer."""
        if self._over is not None:
            self._go_on(self._over, 'no words in time')

    def _on_partial_over(self, over: Turn, event: SpeechPartial) -> None:
        over.partial = event
        if self._is_own(event.text):
            self._out.add(StopListening(over.key, OWN_WORDS))
            self._go_on(over, OWN_WORDS)
        elif event.text.strip():
            self._give_way(over)

    def _on_final_over(self, over: Turn, event: SpeechFinal) -> bool:
        """Whether there were words: then the turn goes on with them."""
        own = event.outcome is Outcome.SPEECH and self._is_own(event.text)
        if event.outcome in (Outcome.SPEECH, Outcome.STOP) and event.text.strip() and not own:
            self._give_way(over)
            return True
        self._over = None  # listened for again with the next sound
        self._go_on(over, OWN_WORDS if own else event.outcome.name.lower())
        return False

    def _is_own(self, text: str) -> bool:
        """Whether the words are those that the assistant is saying, or has just said."""
        turn = self._require_turn()
        said = (turn.begun_over if self.step in HEARING else '') or self._saying(turn)
        return is_own(text, said, turn.heard if self.step in ANSWERING else said) \
            or (self._began_together(turn) and is_own_beginning(text, said))

    def _began_together(self, turn: Turn) -> bool:
        """Whether somebody seems to speak from the moment on when the answer began."""
        over, first_s = self._over, turn.times.first_audio
        return over is not None and first_s > 0.0 \
            and abs(over.speech_start_s - first_s) < TOGETHER_S

    def _saying(self, turn: Turn) -> str:
        if self.step is Step.APOLOGISING:
            return self._apology
        return turn.reply.text if turn.reply is not None else ''

    def _quieten(self, how: How) -> None:
        turn = self._require_turn()
        if how > self._quiet and turn.audible and self.step in ANSWERING:
            self._quiet = how
            self._out.add(PauseReply(turn.key, how))
            self._out.set_timer('resume', self._now + self.rules.resume_s)

    def _go_on(self, over: Turn, why: str) -> None:
        self._out.cancel_timer('resume')
        over.started = False
        quiet, self._quiet = self._quiet, How.GO_ON
        if quiet is not How.GO_ON:
            self._out.add(PauseReply(self._require_turn().key, How.GO_ON))
        if quiet is How.HOLD:
            self._event(self.key, 'barge_in_refuted', reason=why)

    def _give_way(self, over: Turn) -> None:
        """The user said something: the answer ends where it was heard to."""
        turn = self._require_turn()
        self._cancel_phrase()
        if turn.unanswered:
            self._stop_answer(turn, 'barge-in')
        for timer in ('reply', 'playback', 'recovery', 'again'):
            self._out.cancel_timer(timer)
        self._adopt(over)
        self._event(over.key, 'barge_in', interrupted_turn=turn.key.turn,
                    speech_start=over.speech_start_s)

    def _stop_answer(self, turn: Turn, reason: str) -> None:
        """Drop an answer; its record is written when tts tells how far it was heard."""
        self._close_interrupted()
        self._out.add(StopReply(turn.key, reason))
        self._closing = turn
        self._out.set_timer('closing', self._now + CLOSING_TIMEOUT_S)

    def _adopt(self, over: Turn) -> None:
        """Go on with the turn that is being listened for."""
        self._forget_over()
        over.started = True
        self._turn = over
        self._remind()
        self._out.set_timer('stt', self._now + self.rules.max_utterance_s + 2 * MARGIN_S)
        self._go(Step.LISTENING)

    # Around the answer ------------------------------------------------------------------------

    def _follow_up(self, from_s: float) -> None:
        over = self._over
        if over is not None and over.started:
            over.begun_over = self._saying(self._require_turn())
            self._adopt(over)  # the user spoke before the answer was over
            return
        super()._follow_up(from_s)

    def _next_key(self, turn: Turn) -> TurnKey:
        return self._over.key if self._over is not None else super()._next_key(turn)

    def _begin(self, key: TurnKey, phrase: str, from_s: float, no_speech_s: float) -> None:
        self._forget_over()
        super()._begin(key, phrase, from_s, no_speech_s)

    def _end(self, reason: str, stt_has_ended: bool = False,
             outcome: str = 'interrupted') -> None:
        over = self._over
        if over is not None:
            self._forget_over()
            self._out.add(StopListening(over.key, reason))
        super()._end(reason, stt_has_ended, outcome)

    def _lose_over(self) -> None:
        """The ear was lost: nobody is listened for, until it is back."""
        over = self._over
        if over is not None:
            self._over = None
            self._go_on(over, 'stt was lost')

    def _forget_over(self) -> None:
        self._out.cancel_timer('resume')
        self._over, self._quiet = None, How.GO_ON
