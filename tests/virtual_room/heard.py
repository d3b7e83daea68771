# SPDX-License-Identifier: Apache-2.0
"""What the assistant hears after echo cancellation (/stt/audio), taken down to be looked into."""
from __future__ import annotations

from pathlib import Path
import wave

import numpy as np
from rclpy.node import Node

from va_common import qos
from va_common.audio_messages import from_chunk
from va_common.ros_time import to_seconds
from va_interfaces.msg import AudioChunk

RATE = 16000


class HeardRecorder:
    """Keeps every chunk; `write` lays them out on the time base of the room's recordings."""

    def __init__(self, node: Node, topic: str = 'stt/audio') -> None:
        self._chunks: list[tuple[float, np.ndarray]] = []
        self._sequence: int | None = None
        self.lost = 0
        'chunks that did not arrive, by their numbers'
        node.create_subscription(AudioChunk, topic, self._keep, qos.AUDIO)

    def _keep(self, message: AudioChunk) -> None:
        if self._sequence is not None:
            self.lost += max(0, message.sequence - self._sequence - 1)
        self._sequence = message.sequence
        self._chunks.append((to_seconds(message.header.stamp), from_chunk(message)))

    def write(self, path: Path, t0_s: float) -> None:
        """A 16 kHz mono WAV whose sample k is at ``t0_s`` + k/16000."""
        chunks = [(round((start - t0_s) * RATE), data) for start, data in list(self._chunks)]
        length = max((at + data.size for at, data in chunks), default=0)
        sound = np.zeros(max(0, length), '<i2')
        for at, data in chunks:
            if at >= 0:
                sound[at:at + data.size] = data
        with wave.open(str(path), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.tobytes())
