# SPDX-License-Identifier: Apache-2.0
"""The part of the dialog manager that follows an answer from the final text to its last sound."""

from __future__ import annotations

from va_common.errors import ErrorCode
from va_loader.dialog_commands import How, PassOn
from va_loader.dialog_core import ANSWERING, HEARING, Step
from va_loader.dialog_events import Outcome, Playback, PlaybackKind, ReplyPiece, SpeechFinal
from va_loader.dialog_replay import DialogReplay
from va_loader.dialog_turn import Reply, Turn

PLAYBACK_TIMEOUT_S = 35.0
"""Silence of tts past the sound that it told of. Where cores are short the next piece takes long;
a synthesis that hangs is found by tts itself after 30 s."""

_OVER = (PlaybackKind.FINISHED, PlaybackKind.INTERRUPTED, PlaybackKind.FAILED)


class DialogAnswer(DialogReplay):
    """Thinking and speaking."""

    def _think(self, turn: Turn, event: SpeechFinal, unasked: str = '') -> None:
        """The question is there; ``unasked``: why it has not reached llm, empty when it has."""
        turn.key, turn.final, turn.text = event.key, True, event.text
        times = turn.times
        times.speech_end, times.endpoint_decided = event.speech_end_s, event.endpoint_s
        times.final_text = event.stamp_s
        self._record(turn.key, 'USER', event.text, {
            'language': event.language, 'confidence': round(event.confidence, 3),
            'revision': event.key.revision, 'endpoint_reason': event.endpoint_reason})
        self._go(Step.THINKING)
        if unasked or 'llm' in self._lost:
            self._make_up_for(turn, 'llm', unasked or self._lost['llm'])
        elif 'tts' in self._lost:
            self._make_up_for(turn, 'tts', self._lost['tts'])
        else:
            self._answer_by_calls(turn)
            self._out.set_timer('reply', self._now + self.rules.thinking_timeout_s)
            self._listen_over(turn, event.endpoint_s or self._now)
            self._follow_reply(turn)
            while turn.early:  # it was made ahead, and heard before its question came here
                self._on_playback(turn.early.pop(0))

    def _take_partial(self, turn: Turn) -> bool:
        partial = turn.partial
        if partial is None or not _is_sentence(partial.text):
            return False
        for timer in ('stt', 'ack'):
            self._out.cancel_timer(timer)
        self._cancel_phrase()
        self._think(turn, SpeechFinal(
            partial.key, Outcome.SPEECH, self._now, partial.text, partial.language,
            partial.confidence, partial.speech_end_s, self._now, 'stt_lost'),
            unasked='stt was lost after a sentence was heard')
        return True

    def _on_piece(self, event: ReplyPiece) -> None:
        turn = self._turn
        if turn is None or not turn.is_of(event.key):
            return
        if not ((turn.unanswered and event.key == turn.key) or self.step in HEARING):
            return
        turn.take(event)
        if turn.passing_on:
            self._out.add(PassOn(turn.voice_key, event.text, event.is_last))
        if turn.final and turn.todo:
            turn.times.first_token = turn.times.first_token or event.stamp_s
        elif turn.final:
            self._follow_reply(turn)

    def _follow_reply(self, turn: Turn) -> None:
        """React to the reply as far as it is there."""
        reply = turn.reply
        if reply is None:
            return
        turn.times.first_token = turn.times.first_token or reply.first_s
        if reply.done and (reply.error_msg or not reply.text.strip()):
            self._on_broken_reply(turn, reply)
        elif turn.audible:
            self._expect_more(turn)

    def _on_broken_reply(self, turn: Turn, reply: Reply) -> None:
        code = reply.error_code
        if code == ErrorCode.CANCELLED:
            # It was stopped, by somebody who may: no failure. What tts has of it ends there too.
            if not reply.text.strip():
                self._interrupted(turn, self._now)
        elif code == ErrorCode.INVALID_ARGUMENT or not reply.error_msg:
            self._fail('llm', reply.error_msg or 'the reply was empty')
        else:
            self._lose('llm', reply.error_msg)

    def _interrupted(self, turn: Turn, end_s: float) -> None:
        for timer in ('reply', 'playback'):
            self._out.cancel_timer(timer)
        self._conclude(turn, 'interrupted', end_s)

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
        if (hearing := self._current(event.key, HEARING)) is not None:
            hearing.note_early(event)
            return
        turn = self._current(event.key, ANSWERING)
        if turn is None or turn.todo or event.key.revision < turn.voice:
            return
        turn.note_heard(event.text)
        turn.note_gap(event)
        if event.kind is PlaybackKind.FAILED:
            self._on_speech_failed(turn, event)
        elif event.kind in _OVER:
            self._on_reply_over(turn, event)
        else:
            self._on_reply_plays(turn, event)

    def _on_speech_failed(self, turn: Turn, event: Playback) -> None:
        if event.error_code == ErrorCode.CANCELLED:
            turn.times.playback_end = event.stamp_s
            self._interrupted(turn, event.stamp_s)
        elif event.error_code == ErrorCode.TIMEOUT and not (turn.reply and turn.reply.done):
            self._lose('llm', event.error_msg)  # tts waited for its text
        else:
            self._lose('tts', event.error_msg)

    def _on_reply_plays(self, turn: Turn, event: Playback) -> None:
        turn.sound_until_s = self._now + event.remaining_s
        if not turn.audible:
            turn.audible = True
            if not turn.times.first_audio:
                turn.times.first_audio = event.stamp_s
                turn.times.first_synthesised = event.synthesised_s
            self._go(Step.SPEAKING)
        self._listen_over(turn, self._now)
        if self._over is not None and self._over.started:
            self._quieten(How.HOLD)
        self._expect_more(turn)

    def _on_reply_over(self, turn: Turn, event: Playback) -> None:
        turn.times.playback_end = event.stamp_s
        for timer in ('reply', 'playback'):
            self._out.cancel_timer(timer)
        answered = event.kind is PlaybackKind.FINISHED
        self._conclude(turn, 'answered' if answered else 'interrupted', event.stamp_s)

    def _on_closing_playback(self, closing: Turn, event: Playback) -> None:
        if event.key.revision >= closing.voice:
            closing.note_heard(event.text)
        if event.kind in _OVER:
            closing.times.playback_end = event.stamp_s
            self._close_interrupted()


def _is_sentence(text: str) -> bool:
    """Whether what was heard up to a pause ends as a sentence does."""
    text = text.rstrip()
    return text.endswith(('.', '?', '!')) and not text.endswith('..')
