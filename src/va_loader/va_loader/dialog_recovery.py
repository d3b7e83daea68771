# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that ends turns: follow-up, end, failure, apology, lost nodes."""

from __future__ import annotations

from va_common.errors import ErrorCode
from va_common.ids import TurnKey
from va_loader.dialog_commands import StartListening, StopListening, StopReply
from va_loader.dialog_core import ANSWERING, DialogCore, HEARING, Step
from va_loader.dialog_events import NodeBack, NodeLost, SpeakEnded
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
    _closing: Turn | None = None
    """A turn that was interrupted, until the speaker says how far it was heard."""

    # Listening again, or not ------------------------------------------------------------------

    def _begin(self, key: TurnKey, phrase: str, from_s: float, no_speech_s: float) -> None:
        """Have stt listen for a new turn; ``no_speech_s`` 0: as long as stt's setting says."""
        for timer in ('reply', 'playback', 'recovery'):
            self._out.cancel_timer(timer)
        self._turn = Turn(key, phrase, from_s)
        self._out.add(StartListening(key, from_s, phrase, no_speech_s))
        silent_s = no_speech_s or self.rules.no_speech_timeout_s
        self._out.set_timer('stt', max(self._now, from_s) + silent_s + MARGIN_S)

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
            key = TurnKey(turn.key.dialog_id, turn.key.turn + 1)
            self._begin(key, turn.phrase, from_s, self.rules.follow_up_s)
            self._go(Step.FOLLOW_UP)

    def _end(self, reason: str, stt_has_ended: bool = False) -> None:
        turn = self._require_turn()
        self._cancel_phrase()
        self._stop_work(turn, reason, stt_has_ended)
        self._close_interrupted()
        self._event(turn.key, 'dialog_end', reason=reason)
        self._out.cancel_timers()
        self._turn = None
        self._go(Step.IDLE)

    def _stop_work(self, turn: Turn, reason: str, stt_has_ended: bool = False) -> None:
        if self.step in ANSWERING:
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
        """The turn is lost: say so, keep the record complete, then listen again."""
        turn = self._require_turn()
        self._cancel_phrase()
        self._stop_work(turn, f'{stage} failed')
        for timer in ('stt', 'ack', 'reply', 'playback'):
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

    def _on_speak_ended(self, event: SpeakEnded) -> None:
        if event.token != self._phrase_token or self._turn is None:
            return
        self._phrase_token = ''
        self._out.cancel_timer('phrase')
        if event.error_code:
            self._log('warning', f'{event.token} was not spoken: {event.error_msg}')
            self._event(self._turn.key, 'phrase_failed', reason=event.error_msg)
        if self.step is Step.ACKNOWLEDGING:
            self._go(Step.LISTENING)
        elif self.step is Step.APOLOGISING:
            self._on_apology_ended(self._turn, event)

    # Lost nodes -------------------------------------------------------------------------------

    def _wait_for(self, name: str) -> None:
        self._awaited = name
        self._out.set_timer('recovery', self._now + RECOVERY_TIMEOUT_S)
        self._go(Step.WAITING, f'waiting for {name}: {self._lost.get(name, "")}')

    def _on_lost(self, event: NodeLost) -> None:
        self._lost[event.name] = event.reason
        turn = self._turn
        if turn is None:
            self._show()
            return
        self._event(turn.key, 'node_lost', node=event.name, reason=event.reason)
        if event.name == 'stt' and self.step in HEARING:
            self._lose_stt(turn, event.reason)
        elif event.name == 'llm' and self.step in ANSWERING:
            if turn.reply is None or not turn.reply.done:
                self._fail('llm', event.reason)
        elif event.name == 'tts':
            self._lose_tts(event.reason)

    def _lose_stt(self, turn: Turn, reason: str) -> None:
        if self.step is Step.FOLLOW_UP:
            # Nobody has said anything yet: nothing to apologise for, the window opens again.
            self._out.cancel_timer('stt')
            self._wait_for('stt')
        else:
            self._fail('stt', reason)

    def _lose_tts(self, reason: str) -> None:
        if self.step in ANSWERING:
            self._fail('tts', reason)
        elif self._phrase_token:
            self._on_speak_ended(SpeakEnded(self._phrase_token, ErrorCode.UNAVAILABLE, reason))

    def _on_back(self, event: NodeBack) -> None:
        self._lost.pop(event.name, None)
        if self._turn is None:
            self._show()
            return
        self._event(self._turn.key, 'node_back', node=event.name)
        if self.step is not Step.WAITING or self._awaited != event.name:
            return
        self._out.cancel_timer('recovery')
        if event.name == 'tts':
            self._apologise()
        else:
            self._follow_up(self._now)
