# SPDX-License-Identifier: Apache-2.0
"""Where the sound comes from: a device or a ROS topic."""

from __future__ import annotations

from typing import Protocol

from va_stt.blocks import Block


class AudioSource(Protocol):
    """A stream of mono 16 kHz blocks. One thread reads; every call has a deadline."""

    def open(self) -> None:
        """Prove that the source is there. Raises AssistantError DEVICE_FAILED with the reason."""
        ...

    def start(self) -> None:
        """Let sound flow. Raises AssistantError DEVICE_FAILED."""
        ...

    def read(self, timeout_s: float, ahead_s: float = 0.0) -> Block | None:
        """The next block, None when none came in time.

        Args:
            timeout_s: bounds the wait.
            ahead_s: less sound than this need not be given yet: the reader can sleep.

        Raises:
            AssistantError: DEVICE_FAILED when the source is lost and must be opened again.
        """
        ...

    def stop(self) -> None:
        """Let no more sound flow; idempotent."""
        ...

    def close(self) -> None:
        """Let go of the source; idempotent."""
        ...

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        ...

    def warnings(self) -> list[str]:
        """What is wrong with the sound, as far as the source knows; empty when all is well."""
        ...
