# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that follows an answer from the final text to its last sound."""

from __future__ import annotations

from va_loader.dialog_core import ANSWERING, HEARING, Step
from va_loader.dialog_events import Playback, PlaybackKind, ReplyPiece, SpeechFinal
from va_loader.dialog_recovery import DialogRecovery
from va_loader.dialog_turn import Turn

PLAYBACK_TIMEOUT_S = 12.0
"""Silence of tts past the sound that it told of."""

_OVER = (PlaybackKind.FINISHED, PlaybackKind.INTERRUPTED, PlaybackKind.FAILED)


class DialogAnswer(DialogRecovery):
    """Thinking and speaking."""

    def _think(self, turn: Turn, event: SpeechFinal) -> None:
        turn.key, turn.final = event.key, True
        times = turn.times
        times.speech_end, times.endpoint_decided = event.speech_end_s, event.endpoint_s
        times.final_text = event.stamp_s
        self._record(turn.key, 'USER', event.text, {
            'language': event.language, 'confidence': round(event.confidence, 3),
            'revision': event.key.revision, 'endpoint_reason': event.endpoint_reason})
        self._go(Step.THINKING)
        lost = next((node for node in ('llm', 'tts') if node in self._lost), None)
        if lost is not None:
            self._fail(lost, self._lost[lost])
            return
        self._out.set_timer('reply', self._now + self.rules.thinking_timeout_s)
        self._follow_reply(turn)

    def _on_piece(self, event: ReplyPiece) -> None:
        turn = self._current(event.key, HEARING + ANSWERING)
        if turn is None or (turn.final and event.key != turn.key):
            return
        turn.take(event)
        if turn.final:
            self._follow_reply(turn)

    def _follow_reply(self, turn: Turn) -> None:
        """React to the reply as far as it is there."""
        reply = turn.reply
        if reply is None:
            return
        turn.times.first_token = turn.times.first_token or reply.first_s
        if reply.done and not reply.text.strip():
            self._fail('llm', reply.error_msg or 'the reply was empty')
        elif turn.audible:
            self._expect_more(turn)

    def _expect_more(self, turn: Turn) -> None:
        """The reply is heard: wait for more of its text, or for the end of its sound."""
        if turn.reply is not None and turn.reply.done:
            self._out.cancel_timer('reply')
            end_s = max(self._now, turn.sound_until_s)
            self._out.set_timer('playback', end_s + PLAYBACK_TIMEOUT_S)
        else:
            self._out.set_timer('reply', self._now + self.rules.thinking_timeout_s)

    def _on_no_reply(self) -> None:
        turn = self._require_turn()
        limit = f'for {self.rules.thinking_timeout_s:g} s'
        if turn.reply is None or turn.audible:
            self._fail('llm', f'no text of the reply {limit}')
        else:
            self._fail('tts', f'no sound of the reply {limit}')

    def _on_no_sound(self) -> None:
        self._fail('tts', f'no end of the reply {PLAYBACK_TIMEOUT_S:g} s after its sound')

    def _on_playback(self, event: Playback) -> None:
        if self._closing is not None and self._closing.is_of(event.key):
            self._on_closing_playback(self._closing, event)
            return
        turn = self._current(event.key, ANSWERING)
        if turn is None:
            return
        turn.heard = event.text or turn.heard
        if event.kind is PlaybackKind.FAILED:
            self._fail('tts', event.error_msg)
        elif event.kind in _OVER:
            self._on_reply_over(turn, event)
        else:
            self._on_reply_plays(turn, event)

    def _on_reply_plays(self, turn: Turn, event: Playback) -> None:
        turn.sound_until_s = self._now + event.remaining_s
        turn.underruns += event.kind is PlaybackKind.UNDERRUN
        if not turn.audible:
            turn.audible = True
            turn.times.first_audio = event.stamp_s
            self._go(Step.SPEAKING)
        self._expect_more(turn)

    def _on_reply_over(self, turn: Turn, event: Playback) -> None:
        turn.times.playback_end = event.stamp_s
        if turn.reply is not None and turn.reply.error_msg:
            self._fail('llm', turn.reply.error_msg)
            return
        answered = event.kind is PlaybackKind.FINISHED
        self._report(turn, 'answered' if answered else 'interrupted')
        self._failures = 0
        self._follow_up(event.stamp_s)

    def _on_closing_playback(self, closing: Turn, event: Playback) -> None:
        closing.heard = event.text or closing.heard
        if event.kind in _OVER:
            closing.times.playback_end = event.stamp_s
            self._close_interrupted()
