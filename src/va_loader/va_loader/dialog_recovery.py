# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that ends turns: follow-up, end, failure, apology."""

from __future__ import annotations

from va_common.ids import TurnKey
from va_loader.dialog_commands import AskAgain, StartListening, StopListening, StopReply
from va_loader.dialog_core import DialogCore, HEARING, Step
from va_loader.dialog_events import SpeakEnded
from va_loader.dialog_turn import Turn

MARGIN_S = 5.0
"""What a node may be late before it is taken for silent."""
RECOVERY_TIMEOUT_S = 30.0
"""How long a dialog waits for a node that is being restarted."""
MAX_FAILURES = 3
"""Failed turns in a row after which the dialog ends instead of listening again."""


class DialogRecovery(DialogCore):
    """Ends a turn, well or not, and decides what comes next."""

    _awaited = ''
    """The node that the dialog waits for."""
    _apology = ''
    """What is being said for a failure."""
    _llm_forgot = False
    """Whether the language model was restarted in this dialog and knows nothing of it."""
    _closing: Turn | None = None
    """A turn that was interrupted, until the speaker says how far it was heard."""

    # Listening again, or not ------------------------------------------------------------------

    def _begin(self, key: TurnKey, phrase: str, from_s: float, no_speech_s: float) -> None:
        """Have stt listen for a new turn; ``no_speech_s`` 0: as long as stt's setting says."""
        for timer in ('reply', 'playback', 'recovery', 'again', 'resume'):
            self._out.cancel_timer(timer)
        self._turn = Turn(key, phrase, from_s)
        self._remind()
        self._out.add(StartListening(
            key, from_s, phrase, no_speech_s, stop_phrases=self.rules.stop_phrases))
        silent_s = no_speech_s or self.rules.no_speech_timeout_s
        self._out.set_timer('stt', max(self._now, from_s) + silent_s + MARGIN_S)

    def _remind(self) -> None:
        """Tell a language model that was restarted what was said before this turn."""
        if self._llm_forgot and 'llm' not in self._lost and self._said:
            self._llm_forgot = False
            self._out.add(AskAgain(self.key, '', tuple(self._said)))

    def _follow_up(self, from_s: float) -> None:
        """Open the window in which the user may go on without the wake word."""
        turn = self._require_turn()
        if self.rules.follow_up_s <= 0:
            self._end('follow_up_off')
        elif self._failures >= MAX_FAILURES:
            self._end('failed')
        elif 'stt' in self._lost:
            self._wait_for('stt')
        else:
            self._begin(self._next_key(turn), turn.phrase, from_s, self.rules.follow_up_s)
            self._go(Step.FOLLOW_UP)

    def _next_key(self, turn: Turn) -> TurnKey:
        return TurnKey(turn.key.dialog_id, turn.key.turn + 1)

    def _end(self, reason: str, stt_has_ended: bool = False,
             outcome: str = 'interrupted') -> None:
        turn = self._require_turn()
        self._cancel_phrase()
        self._stop_work(turn, reason, stt_has_ended)
        if turn.unanswered:
            self._report(turn, outcome)
        self._close_interrupted()
        self._event(turn.key, 'dialog_end', reason=reason)
        self._out.cancel_timers()
        self._turn = None
        self._go(Step.IDLE)

    def _stop_work(self, turn: Turn, reason: str, stt_has_ended: bool = False) -> None:
        if turn.unanswered:
            self._out.add(StopReply(turn.key, reason))
        elif self.step in HEARING and not stt_has_ended:
            self._out.add(StopListening(turn.key, reason))

    def _close_interrupted(self) -> None:
        if self._closing is not None:
            self._out.cancel_timer('closing')
            self._report(self._closing, 'interrupted')
            self._closing = None

    # Failures ---------------------------------------------------------------------------------

    def _fail(self, stage: str, reason: str) -> None:
        """The turn is given up: say so, keep the record complete, then listen again."""
        turn = self._require_turn()
        self._cancel_phrase()
        self._stop_work(turn, f'{stage} failed')
        for timer in ('stt', 'ack', 'reply', 'playback', 'recovery', 'again'):
            self._out.cancel_timer(timer)
        self._failures += 1
        self._log('warning', f'turn {turn.key.turn} of {turn.key.dialog_id} failed at {stage}: '
                             f'{reason}')
        self._event(turn.key, 'turn_failed', stage=stage, reason=reason)
        self._report(turn, 'failed')
        self._apologise()

    def _apologise(self) -> None:
        if 'tts' in self._lost:
            self._wait_for('tts')
            return
        self._go(Step.APOLOGISING)
        self._apology = self._choose(self.rules.apologies) if self.rules.apologies else ''
        if self._apology:
            self._say('apology', self._apology)
        else:
            self._follow_up(self._now)

    def _on_apology_ended(self, turn: Turn, event: SpeakEnded) -> None:
        if event.error_code and 'tts' in self._lost:
            self._wait_for('tts')
            return
        if not event.error_code:
            self._record(turn.key, 'ASSISTANT', self._apology, {'canned': True})
        self._follow_up(self._now)

    def _wait_for(self, name: str) -> None:
        """Wait for a node; all the waits of a turn together take ``RECOVERY_TIMEOUT_S``."""
        self._awaited = name
        if not self._out.is_set('recovery'):
            self._out.set_timer('recovery', self._now + RECOVERY_TIMEOUT_S)
        turn = self._require_turn()
        kept = '; the question is kept' if turn.unanswered else ''
        self._go(Step.WAITING, f'waiting for {name}: {self._lost.get(name, "not ready")}{kept}')
