# SPDX-License-Identifier: Apache-2.0
"""Sound between numpy and ``va_interfaces/AudioChunk``."""

from __future__ import annotations

import array

import numpy as np

from va_common.audio_io import Int16, to_mono
from va_common.errors import AssistantError, ErrorCode
from va_common.ros_time import to_msg
from va_interfaces.msg import AudioChunk

MAX_CHANNELS = 8
MAX_CHUNK_S = 1.0
RATES = (8000, 192_000)


def to_chunk(samples: Int16, sequence: int, start_s: float, rate: int) -> AudioChunk:
    """A mono block as a message.

    Args:
        samples: int16 (n,), at most one second.
        sequence: number of the chunk in its stream.
        start_s: Unix time of the first sample.
        rate: Hz.
    """
    chunk = AudioChunk(sequence=sequence, sample_rate=rate, channels=1)
    chunk.header.stamp = to_msg(start_s)
    # rclpy takes an array of the right type as it is; from a list it would convert each element.
    chunk.data = array.array('h', np.ascontiguousarray(samples, np.int16).tobytes())
    return chunk


def from_chunk(chunk: AudioChunk) -> Int16:
    """The sound of a message, mixed to mono: int16 (n,).

    Raises:
        AssistantError: INVALID_ARGUMENT for a rate, channel count or length out of range.
    """
    if not RATES[0] <= chunk.sample_rate <= RATES[1]:
        raise _refused('sample_rate', chunk.sample_rate, f'{RATES[0]} to {RATES[1]} Hz')
    if not 1 <= chunk.channels <= MAX_CHANNELS:
        raise _refused('channels', chunk.channels, f'1 to {MAX_CHANNELS}')
    limit = int(chunk.sample_rate * MAX_CHUNK_S) * chunk.channels
    if len(chunk.data) > limit:
        raise _refused('length of data', len(chunk.data), f'at most {limit} samples')
    if len(chunk.data) % chunk.channels:
        raise _refused('length of data', len(chunk.data), f'a multiple of {chunk.channels}')
    samples = np.frombuffer(chunk.data, np.int16).reshape(-1, chunk.channels)
    mono: Int16 = to_mono(samples)
    return mono


def _refused(what: str, value: object, expected: str) -> AssistantError:
    return AssistantError(
        ErrorCode.INVALID_ARGUMENT, f'AudioChunk refused: {what} {value}, expected {expected}')
