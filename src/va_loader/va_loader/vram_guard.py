# SPDX-License-Identifier: Apache-2.0
"""The VRAM guardrail: is enough video memory free for the next phase?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class VramVerdict:
    """What the guardrail found."""

    enough: bool
    """True on a profile without a GPU."""
    text: str
    """For the log and ``/loader/state``."""


class VramGuard:
    """Compares free video memory with what is wanted.

    Args:
        free_mb: reads the free MiB; None on a profile without a GPU.
        wanted_mb: free MiB wanted at boot and before each later phase.
        stagger_mb: free MiB below which phase 1 starts one node after the other.
    """

    def __init__(self, free_mb: Callable[[], int] | None, wanted_mb: int,
                 stagger_mb: int) -> None:
        self._free_mb = free_mb
        self._wanted_mb = wanted_mb
        self._stagger_mb = stagger_mb

    @property
    def applies(self) -> bool:
        """Whether the profile uses a GPU."""
        return self._free_mb is not None

    def check(self) -> VramVerdict:
        """Ask for the memory now; an unreadable GPU counts as too little."""
        return self._compare(self._wanted_mb)

    def check_parallel(self) -> VramVerdict:
        """Whether phase 1 may start its nodes side by side."""
        return self._compare(self._stagger_mb)

    def _compare(self, wanted_mb: int) -> VramVerdict:
        if self._free_mb is None:
            return VramVerdict(True, 'not applicable: no GPU in this profile')
        try:
            free_mb = self._free_mb()
        except Exception as error:  # NVML raises its own tree, known only where it is installed
            return VramVerdict(False, f'unreadable: {error}')
        enough = free_mb >= wanted_mb
        word = 'enough' if enough else 'low'
        return VramVerdict(enough, f'{word}: {free_mb} MiB free, {wanted_mb} MiB wanted')
