# SPDX-License-Identifier: Apache-2.0
"""WebRTC AEC3 through pywebrtc-audio: the microphone without what the speaker plays."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from va_common.errors import AssistantError, ErrorCode

RATE = 16000
FRAME = 160
Int16 = NDArray[np.int16]


class EchoCanceller(Protocol):
    """Takes the echo of the speaker out of the microphone, block by block."""

    def process(self, near: Int16, far: Int16) -> Int16:
        """Clean one block: both shape (n,), int16, 16 kHz, n a multiple of 160."""
        ...

    def reset(self) -> None:
        """Forget the room."""
        ...


class NoEchoCanceller:
    """``aec_enabled=false``: the microphone as it is."""

    def process(self, near: Int16, far: Int16) -> Int16:
        """Return ``near``."""
        return near

    def reset(self) -> None:
        """Nothing to forget."""


class WebrtcAec3:
    """AEC3 with its high-pass filter, 10 ms frames; the GIL is released meanwhile.

    Args:
        noise_suppression: also WebRTC's noise suppressor.

    Raises:
        AssistantError: UNAVAILABLE when pywebrtc-audio cannot be imported.
    """

    def __init__(self, noise_suppression: bool = False) -> None:
        try:
            from pywebrtc_audio import AudioProcessor
        except ImportError as error:
            message = f'aec_backend webrtc_aec3: pywebrtc-audio cannot be imported ({error})'
            raise AssistantError(ErrorCode.UNAVAILABLE, message) from error
        self._processor = AudioProcessor(
            sample_rate=RATE, num_channels=1, echo_cancellation=True,
            noise_suppression=noise_suppression)

    def process(self, near: Int16, far: Int16) -> Int16:
        """Clean one block.

        Raises:
            ValueError: the lengths differ or are no multiple of 160 samples.
        """
        if len(near) != len(far) or len(near) % FRAME:
            raise ValueError(f'near {len(near)}, far {len(far)} samples: expected the same '
                             f'length, a multiple of {FRAME}')
        return np.asarray(self._processor.process(near, far), np.int16)

    def reset(self) -> None:
        """Forget the room."""
        self._processor.reset()


def make_echo_canceller(enabled: bool, backend: str, noise_suppression: bool) -> EchoCanceller:
    """The canceller that the settings ask for.

    Raises:
        AssistantError: INVALID_ARGUMENT for an unknown backend, UNAVAILABLE as above.
    """
    if not enabled:
        return NoEchoCanceller()
    if backend != 'webrtc_aec3':
        message = f'aec_backend {backend!r}: expected webrtc_aec3'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return WebrtcAec3(noise_suppression)
