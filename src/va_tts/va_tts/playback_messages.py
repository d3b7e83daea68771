# SPDX-License-Identifier: Apache-2.0
"""Playback events and speak requests between plain Python and va_interfaces."""

from __future__ import annotations

from va_common.errors import AssistantError, ErrorCode
from va_common.ros_time import to_msg
from va_interfaces.msg import PlaybackEvent as PlaybackEventMsg
from va_interfaces.msg import ReplyChunk
from va_tts.playback_events import Identity, PlaybackEvent, Source

MAX_ID = 200
"""Characters of an id at most."""


def to_event_msg(event: PlaybackEvent) -> PlaybackEventMsg:
    """An event as a message."""
    message = PlaybackEventMsg(
        kind=int(event.kind), source=int(event.identity.source),
        utterance_id=event.identity.utterance_id, dialog_id=event.identity.dialog_id,
        turn=event.identity.turn, revision=event.identity.revision, text=event.text,
        position_s=float(event.position_s), duration_s=float(event.duration_s),
        underruns=event.underruns, synthesised=to_msg(event.synthesised_s),
        error_code=int(event.error_code), error_msg=event.error_msg)
    message.header.stamp = to_msg(event.stamp_s)
    return message


def identity_of(chunk: ReplyChunk, source: Source) -> Identity:
    """Whose text a chunk is: utterance id ``<dialog_id>/<turn>``.

    Raises:
        AssistantError: INVALID_ARGUMENT for an id that is too long.
    """
    check_id(chunk.dialog_id)
    return Identity(source, f'{chunk.dialog_id}/{chunk.turn}', chunk.dialog_id, chunk.turn,
                    chunk.revision)


def error_in(chunk: ReplyChunk) -> AssistantError | None:
    """The error that a last chunk carries."""
    if not chunk.is_last or not chunk.error_code:
        return None
    try:
        code = ErrorCode(chunk.error_code)
    except ValueError:
        code = ErrorCode.INTERNAL
    return AssistantError(code, chunk.error_msg)


def check_id(text: str) -> None:
    """Raise AssistantError INVALID_ARGUMENT for an id that is too long."""
    if len(text) > MAX_ID:
        message = f'dialog_id of {len(text)} characters: expected at most {MAX_ID}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
