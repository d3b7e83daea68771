# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that keeps a turn alive whose node was lost.

    llm lost: apology at once ─► llm is back: the question is asked again, in a new revision
    tts lost: tts is back: apology ─► what was not heard of the reply is passed on to it
    stt lost: with the text of a pause, that is the question; without, apology and listening again

Each node is replayed into once per turn; a turn that loses it again is given up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from va_common.errors import ErrorCode
from va_loader.dialog_barge_in import DialogBargeIn
from va_loader.dialog_commands import AskAgain, DropAttempt, How, PassOn
from va_loader.dialog_core import ANSWERING, HEARING, Step
from va_loader.dialog_events import NodeBack, NodeLost, ReplayFailed, SpeakBegun, SpeakEnded
from va_loader.dialog_recovery import RECOVERY_TIMEOUT_S
from va_loader.dialog_turn import Turn
from va_loader.unheard import split_unheard

AGAIN_S = 1.0
"""After an apology that tts could not say."""
SETTLING_S = 5.0
"""How long after its restart a node may not be connected to every topic yet: so long a turn goes
through calls, whose answers prove that it arrived."""


class DialogReplay(DialogBargeIn, ABC):
    """Decides what becomes of a turn in which a node is lost."""

    _back_s = dict.fromkeys(('llm', 'tts'), 0.0)
    """When they came back, Unix seconds; replaced, never changed in place."""

    # Lost and back ----------------------------------------------------------------------------

    def _on_lost(self, event: NodeLost) -> None:
        self._lost[event.name] = event.reason
        (self._bearable.add if event.bearable else self._bearable.discard)(event.name)
        self._llm_forgot = self._llm_forgot or event.name == 'llm'
        turn = self._turn
        if turn is None:
            self._show()
            return
        self._event(turn.key, 'node_lost', node=event.name, reason=event.reason)
        if self.step is not Step.WAITING:
            self._show()
        if event.name == 'stt':
            self._lose_over()
        if event.name == 'stt' and self.step in HEARING:
            self._lose_stt(turn, event.reason)
        elif event.name == 'llm':
            self._lose_llm(turn, event.reason)
        elif event.name == 'tts':
            self._lose_tts(turn, event.reason)

    def _on_back(self, event: NodeBack) -> None:
        self._lost.pop(event.name, None)
        self._back_s = {**self._back_s, event.name: self._now}
        turn = self._turn
        if turn is None:
            self._show()
            return
        self._event(turn.key, 'node_back', node=event.name)
        if self.step is not Step.WAITING:
            self._show()
        if turn.todo:
            self._proceed()
        elif self.step is Step.WAITING and self._awaited == event.name:
            self._out.cancel_timer('recovery')
            if event.name == 'tts':
                self._apologise()
            else:
                self._follow_up(self._now)
        elif self.step in HEARING:
            self._remind()

    def _lose_stt(self, turn: Turn, reason: str) -> None:
        if self._take_partial(turn):
            return
        if self.step is Step.FOLLOW_UP:
            # Nobody has said anything yet: nothing to apologise for, the window opens again.
            self._out.cancel_timer('stt')
            self._wait_for('stt')
        else:
            self._fail('stt', reason)

    @abstractmethod
    def _take_partial(self, turn: Turn) -> bool:
        """Go on with what the user said up to a pause, if that is a sentence."""

    def _lose_llm(self, turn: Turn, reason: str) -> None:
        if 'llm' in turn.todo:
            self._proceed()
        elif turn.unanswered and (turn.reply is None or not turn.reply.done):
            self._lose('llm', reason)

    def _lose_tts(self, turn: Turn, reason: str) -> None:
        if turn.todo:
            if self._phrase_token:
                self._cancel_phrase()
                turn.apology_due = True
            self._proceed()
        elif self.step in ANSWERING:
            self._lose('tts', reason)
        elif self._phrase_token:
            self._on_speak_ended(SpeakEnded(self._phrase_token, ErrorCode.UNAVAILABLE, reason))

    # Replaying --------------------------------------------------------------------------------

    def _lose(self, node: str, reason: str) -> None:
        """The answer was lost with its node, or by a failure of it: make up for it, once."""
        turn = self._require_turn()
        if node in turn.replayed:
            self._fail(node, reason)
            return
        turn.replayed.append(node)
        self._cancel_phrase()
        self._log('warning', f'turn {turn.key.turn} of {turn.key.dialog_id} lost its {node} and '
                             f'is replayed: {reason}')
        self._make_up_for(turn, node, reason)

    def _make_up_for(self, turn: Turn, node: str, reason: str) -> None:
        for timer in ('reply', 'playback'):
            self._out.cancel_timer(timer)
        self._quiet = How.GO_ON  # what was held is gone
        self._event(turn.key, 'turn_lost', node=node, reason=reason, heard=turn.heard)
        turn.todo.add(node)
        turn.apology_due = True
        turn.audible = turn.passing_on = False
        if node == 'llm':
            turn.ask_anew()
        else:
            turn.outdate_voice()
        self._proceed()

    def _proceed(self) -> None:
        """Do the next of what the turn needs: tts, an apology, llm, the rest of the reply."""
        turn = self._require_turn()
        if 'tts' in self._lost:
            self._wait_for('tts')
            return
        if turn.apology_due:
            turn.apology_due = False
            self._out.add(DropAttempt(turn.voice_key, 'a node was lost'))
            self._say_patience()
        if 'llm' in turn.todo and 'llm' not in self._lost:
            self._ask_again(turn)
        elif self._phrase_token:
            self._go(Step.APOLOGISING, '; '.join(self._lost.values()))
        elif 'llm' in turn.todo:
            self._wait_for('llm')
        else:
            self._pass_on(turn)

    def _settles(self, node: str) -> bool:
        return self._now - self._back_s[node] < SETTLING_S

    def _answer_by_calls(self, turn: Turn) -> None:
        """Let a turn go safely through nodes that have just been restarted."""
        if self._settles('llm'):
            turn.ask_anew()
            self._llm_forgot = False
            self._out.add(AskAgain(turn.key, turn.text, tuple(self._said)))
        elif self._settles('tts'):
            turn.outdate_voice()
            self._out.add(DropAttempt(turn.voice_key, 'it comes by calls'))
            turn.passing_on = True

    def _say_patience(self) -> None:
        self._apology = self._choose(self.rules.patience) if self.rules.patience else ''
        if self._apology:
            self._say('patience', self._apology)

    def _ask_again(self, turn: Turn) -> None:
        self._llm_forgot = False
        self._out.add(AskAgain(turn.key, turn.text, tuple(self._said)))
        self._resume(turn, 'llm')

    def _pass_on(self, turn: Turn) -> None:
        """Have tts speak the rest of the reply as far as it is there; more follows."""
        reply = turn.reply
        text = reply.text if reply else ''
        turn.heard_before, rest = split_unheard(text, turn.heard)
        done = reply is not None and reply.done
        if done and not rest and text.strip():
            self._out.cancel_timer('recovery')
            turn.times.playback_end = self._now
            self._conclude(turn, 'answered', self._now)
            return
        turn.passing_on = True
        turn.heard_before = turn.heard_before.strip()
        if rest or done:
            self._out.add(PassOn(turn.voice_key, rest, done))
        self._resume(turn, 'tts')

    def _resume(self, turn: Turn, node: str) -> None:
        for timer in ('recovery', 'again'):
            self._out.cancel_timer(timer)
        turn.todo.clear()
        self._event(turn.key, 'turn_replayed', node=node, revision=turn.voice_key.revision)
        self._out.set_timer('reply', self._now + self.rules.thinking_timeout_s)
        self._go(Step.THINKING)

    def _conclude(self, turn: Turn, outcome: str, from_s: float) -> None:
        """The turn is over, and not for want of a node."""
        self._report(turn, outcome)
        self._failures = 0
        self._follow_up(from_s)

    def _on_replay_failed(self, event: ReplayFailed) -> None:
        turn = self._current(event.key, ANSWERING)
        if turn is not None and event.key in (turn.key, turn.voice_key) \
                and event.node not in self._lost:
            self._fail(event.node, event.error_msg)

    def _on_no_recovery(self) -> None:
        turn, reason = self._require_turn(), f'{self._awaited} did not come back'
        if turn.todo and 'tts' not in self._lost:
            self._fail(self._awaited, f'{reason} within {RECOVERY_TIMEOUT_S:g} s')
            return
        if turn.unanswered:
            self._event(turn.key, 'turn_failed', stage=self._awaited, reason=reason)
        self._end(reason, outcome='failed')

    # Phrases ----------------------------------------------------------------------------------

    def _on_speak_begun(self, event: SpeakBegun) -> None:
        """The apology is heard: what follows may be made meanwhile, it queues behind it."""
        turn = self._turn
        if turn is not None and turn.todo == {'tts'} and event.token == self._phrase_token:
            self._pass_on(turn)

    def _on_speak_ended(self, event: SpeakEnded) -> None:
        turn = self._turn
        if event.token != self._phrase_token or turn is None:
            return
        self._phrase_token = ''
        self._out.cancel_timer('phrase')
        if event.error_code:
            self._log('warning', f'{event.token} was not spoken: {event.error_msg}')
            self._event(turn.key, 'phrase_failed', reason=event.error_msg)
        if self.step is Step.ACKNOWLEDGING:
            self._go(Step.LISTENING)
        elif turn.unanswered:
            self._on_patience_ended(turn, event)
        elif self.step is Step.APOLOGISING:
            self._on_apology_ended(turn, event)

    def _on_patience_ended(self, turn: Turn, event: SpeakEnded) -> None:
        if event.error_code == ErrorCode.CANCELLED:
            # Somebody wants it silent: so is the answer.
            self._stop_work(turn, 'the apology was stopped')
            for timer in ('reply', 'playback', 'recovery', 'again'):
                self._out.cancel_timer(timer)
            self._conclude(turn, 'interrupted', self._now)
            return
        if not event.error_code:
            self._record(turn.key, 'ASSISTANT', self._apology, {'canned': True})
        if not turn.todo:
            return
        if event.error_code and 'tts' in turn.todo:
            turn.apology_due = True
            self._wait_for('tts')
            self._out.set_timer('again', self._now + AGAIN_S)
        else:
            self._proceed()
