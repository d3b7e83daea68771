# SPDX-License-Identifier: Apache-2.0
"""Messages at the door: checked and turned into events; what is out of bounds is refused."""

from __future__ import annotations

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.ros_time import to_msg, to_seconds
from va_interfaces.msg import PlaybackEvent, ReplyChunk, Transcript, Wake
from va_interfaces.msg import TurnReport as TurnReportMessage
from va_loader.dialog_events import (
    Outcome,
    Playback,
    PlaybackKind,
    ReplyPiece,
    SpeechFinal,
    SpeechNoticed,
    SpeechPartial,
    SpeechStarted,
    SpeechWithdrawn,
    WakeHeard,
)
from va_loader.turn_report import TurnReport

MAX_TEXT = 20_000
MAX_PHRASE = 200


def wake_heard(message: Wake) -> WakeHeard:
    """A wake as an event. Raises AssistantError INVALID_ARGUMENT."""
    _limit('Wake.phrase', message.phrase, MAX_PHRASE)
    _limit('Wake.acknowledgement', message.acknowledgement, MAX_PHRASE)
    pushed = message.source == Wake.SOURCE_PUSH_TO_TALK
    return WakeHeard(
        stamp_s=to_seconds(message.header.stamp), word_end_s=to_seconds(message.word_end),
        phrase=message.phrase, acknowledgement=message.acknowledgement, score=message.score,
        source='push_to_talk' if pushed else 'wake_word')


Speech = SpeechStarted | SpeechNoticed | SpeechWithdrawn | SpeechPartial | SpeechFinal


def speech(message: Transcript) -> Speech | None:
    """A transcript as an event; None: of no concern here. Raises AssistantError."""
    key = TurnKey(message.dialog_id, message.turn, message.revision)
    stamp_s = to_seconds(message.header.stamp)
    if message.kind == Transcript.PARTIAL:
        return _partial(key, message)
    if message.kind == Transcript.STARTED:
        return SpeechStarted(key, stamp_s, to_seconds(message.speech_start))
    if message.kind == Transcript.NOTICED:
        return SpeechNoticed(key)
    if message.kind == Transcript.WITHDRAWN:
        return SpeechWithdrawn(key)
    if message.kind == Transcript.RESUMED:
        return None
    if message.kind != Transcript.FINAL:
        raise _refusal('Transcript.kind', message.kind, '0 to 5')
    if message.outcome not in list(Outcome):
        raise _refusal('Transcript.outcome', message.outcome, '0 to 4')
    _limit('Transcript.text', message.text, MAX_TEXT)
    return SpeechFinal(
        key, Outcome(message.outcome), stamp_s, message.text, message.language,
        message.confidence, to_seconds(message.speech_end), to_seconds(message.endpoint_time),
        message.endpoint_reason, message.error_msg)


def _partial(key: TurnKey, message: Transcript) -> SpeechPartial:
    _limit('Transcript.text', message.text, MAX_TEXT)
    return SpeechPartial(
        key, to_seconds(message.header.stamp), message.text, message.language,
        message.confidence, to_seconds(message.speech_end))


def reply_piece(message: ReplyChunk) -> ReplyPiece:
    """A piece of a reply as an event. Raises AssistantError INVALID_ARGUMENT."""
    _limit('ReplyChunk.text', message.text, MAX_TEXT)
    return ReplyPiece(
        TurnKey(message.dialog_id, message.turn, message.revision), message.text,
        message.is_last, to_seconds(message.header.stamp), message.error_code,
        message.error_msg)


def playback(message: PlaybackEvent) -> Playback | None:
    """A playback event of a reply; None for other sound. Raises AssistantError."""
    if message.source != PlaybackEvent.SOURCE_REPLY:
        return None
    if message.kind not in list(PlaybackKind):
        raise _refusal('PlaybackEvent.kind', message.kind, '0 to 7')
    _limit('PlaybackEvent.text', message.text, MAX_TEXT)
    return Playback(
        TurnKey(message.dialog_id, message.turn, message.revision), PlaybackKind(message.kind),
        to_seconds(message.header.stamp), message.text,
        max(0.0, message.duration_s - message.position_s), message.position_s,
        to_seconds(message.synthesised), message.error_code, message.error_msg)


def report_message(report: TurnReport) -> TurnReportMessage:
    """The stage times of a turn as a message; the caller stamps its header."""
    times = report.times
    return TurnReportMessage(
        dialog_id=report.key.dialog_id, turn=report.key.turn,
        speech_end=to_msg(times.speech_end), endpoint_decided=to_msg(times.endpoint_decided),
        final_text=to_msg(times.final_text), first_token=to_msg(times.first_token),
        first_synthesised=to_msg(times.first_synthesised),
        first_audio=to_msg(times.first_audio), playback_end=to_msg(times.playback_end),
        voice_to_voice_ms=report.voice_to_voice_ms, outcome=report.outcome)


def _limit(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise _refusal(name, f'{len(text)} characters', f'at most {longest}')


def _refusal(name: str, value: object, expected: str) -> AssistantError:
    return AssistantError(ErrorCode.INVALID_ARGUMENT, f'{name} {value}: expected {expected}')
