# SPDX-License-Identifier: Apache-2.0
"""The dialog: events in, commands out. Knows no ROS, no thread and no clock.

    idle ─wake─► acknowledging ─► listening ─► thinking ─► speaking ─► follow_up ─► idle
                                   │            └────────────┴─ node lost: apology, replay
                                   └────────────┴────────────┴─ failure: apology ─► follow_up

The parts: :mod:`va_loader.dialog_core` (state), ``dialog_recovery`` (how a turn ends),
``dialog_replay`` (how it survives a lost node), ``dialog_answer`` (thinking and speaking), and
here: the wake word and listening.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from va_common.errors import ErrorCode
from va_common.ids import new_dialog_id, TurnKey
from va_loader.dialog_answer import DialogAnswer
from va_loader.dialog_barge_in import OWN_WORDS
from va_loader.dialog_commands import Command, OpenDialog, StopListening
from va_loader.dialog_core import HEARING, PHRASE_TIMEOUT_S, Step
from va_loader.dialog_events import (
    Closed,
    DialogRules,
    Event,
    ListenFailed,
    NodeBack,
    NodeLost,
    Opened,
    Outcome,
    Playback,
    ReplayFailed,
    ReplyPiece,
    RulesChanged,
    SpeakBegun,
    SpeakEnded,
    SpeechFinal,
    SpeechNoticed,
    SpeechPartial,
    SpeechStarted,
    SpeechWithdrawn,
    TimerFired,
    WakeHeard,
)
from va_loader.dialog_recovery import MARGIN_S
from va_loader.dialog_turn import Turn

WAKE_MAX_AGE_S = 5.0
NOTICED_S = 0.4
"""After the first sign of a voice: by then stt has said whether it is speech."""
WITHDRAWN_S = 0.12
"""After a sign that was not speech: often the end of the wake word itself. In 3 of 50 commands in
one breath the next one came 0.04 to 0.1 s later."""
SAME_WORD_S = 1.0
"""A second wake so soon after the first, while that is acknowledged, is the same call."""


class DialogManager(DialogAnswer):
    """Leads one dialog at a time; see :class:`va_loader.dialog_core.DialogCore`."""

    def __init__(self, rules: DialogRules, choose: Callable[[Sequence[str]], str],
                 salt: Callable[[], str]) -> None:
        super().__init__(rules, choose, salt)
        self._acknowledgement = ''
        self._handlers: dict[type, Callable[..., None]] = {
            WakeHeard: self._on_wake, SpeechStarted: self._on_started,
            SpeechFinal: self._on_final, ReplyPiece: self._on_piece, Playback: self._on_playback,
            SpeechNoticed: self._on_noticed, SpeechWithdrawn: self._on_withdrawn,
            SpeechPartial: self._on_partial, SpeakBegun: self._on_speak_begun,
            SpeakEnded: self._on_speak_ended, ReplayFailed: self._on_replay_failed,
            ListenFailed: self._on_listen_failed,
            NodeLost: self._on_lost, NodeBack: self._on_back, TimerFired: self._on_timer,
            Opened: self._on_opened, Closed: self._on_closed, RulesChanged: self._on_rules,
        }

    def handle(self, event: Event, now_s: float) -> list[Command]:
        """Take one event at ``now_s`` (Unix seconds) and return what is to be done, in order."""
        self._now = now_s
        self._handlers[type(event)](event)
        return self._out.drain()

    # The assistant as a whole -----------------------------------------------------------------

    def _on_opened(self, event: Opened) -> None:
        self._go(Step.IDLE)

    def _on_closed(self, event: Closed) -> None:
        if self._turn is not None:
            self._end(event.reason)
        self._out.cancel_timers()
        self._lost.clear()
        self.step = Step.CLOSED

    def _on_rules(self, event: RulesChanged) -> None:
        self.rules = event.rules

    # Wake and acknowledgement -----------------------------------------------------------------

    def _on_wake(self, event: WakeHeard) -> None:
        age_s = self._now - event.stamp_s
        if abs(age_s) > WAKE_MAX_AGE_S:
            self._log('warning', f'wake ignored: it is {age_s:.1f} s old, expected at most '
                                 f'{WAKE_MAX_AGE_S:g} s')
        elif self.step is Step.CLOSED:
            self._log('info', 'wake ignored: not ready yet')
        elif 'stt' in self._lost:
            self._log('warning', 'wake ignored: stt is being restarted')
        elif self._turn is None:
            self._open_dialog(event)
        elif self.step is Step.ACKNOWLEDGING and self._is_same_word(self._turn, event):
            self._log('debug', 'wake ignored: it is being acknowledged')
        else:
            self._interrupt(self._turn, event)

    def _is_same_word(self, turn: Turn, event: WakeHeard) -> bool:
        return event.word_end_s - turn.word_end_s < SAME_WORD_S

    def _open_dialog(self, event: WakeHeard) -> None:
        dialog_id = event.dialog_id or new_dialog_id(self._now, self._salt())
        self._failures = 0
        self._said.clear()
        self._llm_forgot = False
        self._out.add(OpenDialog(dialog_id))
        self._begin_woken(TurnKey(dialog_id, 1), event)

    def _interrupt(self, turn: Turn, event: WakeHeard) -> None:
        """The user called while a dialog runs: whatever it does gives way to a new turn."""
        self._cancel_phrase()
        if turn.unanswered:
            self._stop_answer(turn, 'wake word')
        self._begin_woken(self._next_key(turn), event)

    def _begin_woken(self, key: TurnKey, event: WakeHeard) -> None:
        self._begin(key, event.phrase, event.word_end_s, 0.0)
        self._event(key, 'wake', source=event.source, phrase=event.phrase,
                    score=round(event.score, 3), acknowledgement=event.acknowledgement)
        self._acknowledgement = event.acknowledgement
        self._acknowledge_at(event.word_end_s + self.rules.ack_delay_s)
        self._go(Step.ACKNOWLEDGING)

    def _acknowledge_at(self, wanted_s: float) -> None:
        self._out.set_timer('ack', max(self._now, wanted_s))

    def _on_noticed(self, event: SpeechNoticed) -> None:
        super()._on_noticed(event)
        if self._unacknowledged(event.key):
            self._acknowledge_at(self._now + NOTICED_S)

    def _on_withdrawn(self, event: SpeechWithdrawn) -> None:
        super()._on_withdrawn(event)
        if self._unacknowledged(event.key):
            word_end_s = self._require_turn().word_end_s
            self._acknowledge_at(max(word_end_s + self.rules.ack_delay_s, self._now + WITHDRAWN_S))

    def _unacknowledged(self, key: TurnKey) -> bool:
        """Whether "Yes?" for this turn can still wait."""
        return self._current(key, (Step.ACKNOWLEDGING,)) is not None and not self._phrase_token

    def _acknowledge(self) -> None:
        if not self._acknowledgement or 'tts' in self._lost:
            self._go(Step.LISTENING)
        else:
            self._say('ack', self._acknowledgement)

    # Listening --------------------------------------------------------------------------------

    def _on_started(self, event: SpeechStarted) -> None:
        over = self._over_of(event.key)
        if over is not None:
            self._on_started_over(over, event)
        turn = self._current(event.key, HEARING)
        if turn is None or turn.started:
            return
        turn.started = True
        self._out.cancel_timer('ack')
        self._cancel_phrase()
        self._out.set_timer('stt', self._now + self.rules.max_utterance_s + 2 * MARGIN_S)
        self._go(Step.LISTENING)

    def _on_partial(self, event: SpeechPartial) -> None:
        over = self._over_of(event.key)
        if over is not None:
            self._on_partial_over(over, event)
        turn = self._current(event.key, HEARING)
        if turn is None:
            return
        turn.partial = event
        if turn.begun_over and self._is_own(event.text):
            self._out.add(StopListening(turn.key, OWN_WORDS))
            self._follow_up(self._now)

    def _on_final(self, event: SpeechFinal) -> None:
        over = self._over_of(event.key)
        if over is not None and not self._on_final_over(over, event):
            return
        turn = self._current(event.key, HEARING)
        if turn is None or event.endpoint_reason == OWN_WORDS:
            return
        self._out.cancel_timer('stt')
        self._out.cancel_timer('ack')
        if event.outcome is Outcome.FAILED:
            if not self._take_partial(turn):
                self._fail('stt', event.error_msg)
        elif event.outcome is Outcome.SPEECH and event.text.strip():
            self._cancel_phrase()
            self._think(turn, event)
        elif event.outcome is Outcome.STOP:
            self._on_stop_phrase(turn, event)
        else:
            outcome = Outcome.STOPPED if event.outcome is Outcome.STOPPED else Outcome.NO_SPEECH
            self._end(outcome.name.lower(), stt_has_ended=True)

    def _on_stop_phrase(self, turn: Turn, event: SpeechFinal) -> None:
        """The user wanted it silent, and nothing more."""
        self._cancel_phrase()
        self._record(event.key, 'USER', event.text, {
            'language': event.language, 'confidence': round(event.confidence, 3),
            'revision': event.key.revision, 'endpoint_reason': event.endpoint_reason,
            'outcome': 'stop'})
        self._follow_up(self._now)

    def _on_listen_failed(self, event: ListenFailed) -> None:
        if self._over_of(event.key) is not None:
            self._forget_over()  # the wake word still ends the answer
        elif self._current(event.key, HEARING) is not None:
            self._fail('stt', event.error_msg)

    # Timers -----------------------------------------------------------------------------------

    def _on_timer(self, event: TimerFired) -> None:
        if self._out.take_fired(event):
            self._TIMERS[event.name](self)

    def _on_stt_silent(self) -> None:
        self._fail('stt', 'no word from stt in time')

    def _on_no_phrase(self) -> None:
        self._on_speak_ended(SpeakEnded(
            self._phrase_token, ErrorCode.TIMEOUT, f'no end after {PHRASE_TIMEOUT_S:g} s'))

    _TIMERS: dict[str, Callable[[DialogManager], None]] = {
        'ack': _acknowledge, 'stt': _on_stt_silent, 'reply': DialogAnswer._on_no_reply,
        'playback': DialogAnswer._on_no_sound, 'phrase': _on_no_phrase,
        'recovery': DialogAnswer._on_no_recovery, 'again': DialogAnswer._proceed,
        'closing': DialogAnswer._close_interrupted, 'resume': DialogAnswer._on_resume,
    }
