# SPDX-License-Identifier: Apache-2.0
"""What the node needs of a place where sound goes to: a device, or a ROS topic."""

from __future__ import annotations

from typing import Protocol

from va_tts.playout import Playout


class SoundOut(Protocol):
    """Takes blocks from a :class:`~va_tts.playout.Playout` while it is started."""

    @property
    def rate(self) -> int:
        """Hz; known once it is open."""

    @property
    def latency_s(self) -> float:
        """From taking a block to its being heard."""

    def open(self) -> None:
        """Prepare. Raises AssistantError DEVICE_FAILED."""

    def start(self, playout: Playout) -> None:
        """Begin to take blocks, within 100 ms. Raises AssistantError DEVICE_FAILED."""

    def stop(self) -> None:
        """Take no more blocks; idempotent."""

    def close(self) -> None:
        """Let go of the device; idempotent."""

    def problem(self) -> str | None:
        """Why no sound comes out; None while it works."""

    def describe(self) -> dict[str, str]:
        """Values for /diagnostics."""
