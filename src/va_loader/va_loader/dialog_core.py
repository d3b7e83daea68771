# SPDX-License-Identifier: Apache-2.0
"""What all parts of the dialog manager share: its state, and how it says what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from va_common.ids import TurnKey
from va_loader.dialog_commands import (
    CancelSpeak,
    LogLine,
    PublishReport,
    Said,
    ShowState,
    Speak,
    WriteRecord,
)
from va_loader.dialog_events import DialogRules
from va_loader.dialog_turn import Outbox, Turn
from va_loader.turn_report import TurnReport

PHRASE_TIMEOUT_S = 15.0
"""An acknowledgement or an apology: from the goal to its end."""

SAID_KEPT = 20
"""Turns of a dialog that a restarted language model is told."""


class Step(Enum):
    """Where the dialog is."""

    CLOSED = 'booting'
    IDLE = 'idle'
    ACKNOWLEDGING = 'acknowledging'
    LISTENING = 'listening'
    THINKING = 'thinking'
    SPEAKING = 'speaking'
    APOLOGISING = 'apologising'
    FOLLOW_UP = 'follow_up'
    WAITING = 'recovering'


STATE_NAMES = {step: step.value for step in Step} | {Step.APOLOGISING: 'speaking'}
"""What ``/loader/state`` calls each step."""
HEARING = (Step.ACKNOWLEDGING, Step.LISTENING, Step.FOLLOW_UP)
ANSWERING = (Step.THINKING, Step.SPEAKING)
NO_TURN = TurnKey('')


class DialogCore:
    """The state of the dialog manager.

    Args:
        rules: times and phrases.
        choose: draws one of several phrases.
        salt: four hexadecimal digits for a new dialog id.
    """

    def __init__(self, rules: DialogRules, choose: Callable[[Sequence[str]], str],
                 salt: Callable[[], str]) -> None:
        self.rules = rules
        self.step = Step.CLOSED
        self._choose = choose
        self._salt = salt
        self._out = Outbox()
        self._now = 0.0
        self._turn: Turn | None = None
        self._phrase_token = ''
        """The acknowledgement or apology that tts speaks; empty: none."""
        self._said: list[Said] = []
        """The dialog so far, for a language model that was restarted."""
        self._failures = 0
        """Failed turns in a row."""
        self._lost: dict[str, str] = {}
        """Nodes that are being restarted, and why."""
        self._bearable: set[str] = set()
        """Those of them without which dialogs go on."""

    @property
    def key(self) -> TurnKey:
        """The turn in progress; an empty dialog id while no dialog runs."""
        return self._turn.key if self._turn else NO_TURN

    def _current(self, key: TurnKey, steps: tuple[Step, ...]) -> Turn | None:
        """The turn in progress if ``key`` means it and it is in one of ``steps``."""
        turn = self._turn
        if turn is None or not turn.is_of(key) or self.step not in steps:
            return None
        return turn

    def _require_turn(self) -> Turn:
        assert self._turn is not None, f'no turn in step {self.step.name}'
        return self._turn

    def _go(self, step: Step, reason: str = '') -> None:
        self.step = step
        self._show(reason)

    def _show(self, reason: str = '') -> None:
        """Publish the state, with why a node is away; idle with a node lost is recovering."""
        if self.step is Step.CLOSED:
            return
        name = STATE_NAMES[self.step]
        if self.step is Step.IDLE and not self._lost.keys() <= self._bearable:
            name, reason = STATE_NAMES[Step.WAITING], ''
        reason = reason or '; '.join(f'{node}: {why}' for node, why in self._lost.items())
        self._out.add(ShowState(name, self.key, reason))

    def _record(self, key: TurnKey, role: str, text: str = '',
                data: dict[str, object] | None = None) -> None:
        self._out.add(WriteRecord(key, role, self._now, text, data or {}))

    def _event(self, key: TurnKey, event: str, **data: object) -> None:
        self._record(key, 'EVENT', event, data)

    def _log(self, level: str, text: str) -> None:
        self._out.add(LogLine(level, text))

    def _report(self, turn: Turn, outcome: str) -> None:
        """Write what was answered and how long each stage took."""
        turn.reported = True
        turn.todo.clear()
        reply = turn.reply
        if reply is not None and reply.text:
            replayed = {'replayed': list(turn.replayed)} if turn.replayed else {}
            self._record(turn.key, 'ASSISTANT', reply.text, {
                'heard': turn.heard, 'outcome': outcome, 'underruns': turn.underruns,
                'longest_gap_ms': round(1e3 * turn.longest_gap_s), **replayed})
        if turn.text:
            heard = turn.heard or (reply.text if reply and outcome == 'answered' else '')
            self._said.append(Said(turn.text, heard))
            del self._said[:-SAID_KEPT]
        report = TurnReport(turn.key, outcome, turn.times)
        self._record(turn.key, 'LATENCY', data=report.record())
        self._out.add(PublishReport(report))

    def _say(self, kind: str, text: str) -> None:
        """Have a phrase of the loader's own spoken."""
        turn = self._require_turn()
        self._phrase_token = f'{kind}/{turn.key.dialog_id}/{turn.key.turn}'
        self._out.set_timer('phrase', self._now + PHRASE_TIMEOUT_S)
        self._out.add(Speak(self._phrase_token, text, turn.key))

    def _cancel_phrase(self) -> None:
        if self._phrase_token:
            self._out.cancel_timer('phrase')
            self._out.add(CancelSpeak(self._phrase_token))
            self._phrase_token = ''
