# SPDX-License-Identifier: Apache-2.0
"""What stt publishes: transcripts and the echo-cancelled sound."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from va_common import qos
from va_common.audio_messages import to_chunk
from va_common.ros_time import to_msg
from va_interfaces.msg import AudioChunk, Transcript
from va_stt.blocks import Block, RATE
from va_stt.turn_events import TurnEvent


def to_transcript(event: TurnEvent, now_s: float) -> Transcript:
    """An event as a message."""
    message = Transcript(
        dialog_id=event.key.dialog_id, turn=event.key.turn, revision=event.key.revision,
        kind=int(event.kind), outcome=int(event.outcome), text=event.text,
        language=event.language, confidence=float(event.confidence),
        speech_start=to_msg(event.speech_start_s), speech_end=to_msg(event.speech_end_s),
        endpoint_time=to_msg(event.endpoint_s), endpoint_reason=event.endpoint_reason,
        error_code=event.error_code, error_msg=event.error_msg)
    message.header.stamp = to_msg(now_s)
    return message


class ResultsApi:
    """The publishers ``stt/transcript`` and ``stt/audio``; mute while the node is inactive.

    Args:
        node: an :class:`~va_common.lifecycle.AssistantNode`.
        clock: Unix seconds.
    """

    def __init__(self, node: Any, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._transcripts = node.create_lifecycle_publisher(
            Transcript, 'stt/transcript', qos.EVENTS)
        self._audio = node.create_lifecycle_publisher(AudioChunk, 'stt/audio', qos.AUDIO)
        self._sequence = 0

    def publish_event(self, event: TurnEvent) -> None:
        """Publish one event of a turn."""
        self._transcripts.publish(to_transcript(event, self._clock()))

    def publish_chunk(self, chunk: Block) -> None:
        """Publish 80 ms of clean sound."""
        self._audio.publish(to_chunk(chunk.samples, self._sequence, chunk.start_s, RATE))
        self._sequence += 1
