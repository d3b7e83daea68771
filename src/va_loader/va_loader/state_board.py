# SPDX-License-Identifier: Apache-2.0
"""What the assistant does as a whole: the phases' view and the dialog's view, made one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import threading

from va_common.ids import TurnKey

STATES = ('booting', 'idle', 'acknowledging', 'listening', 'thinking', 'speaking', 'follow_up',
          'recovering', 'stopping', 'fatal')
"""Names in the order of the constants of ``AssistantState``."""


@dataclass(frozen=True)
class Snapshot:
    """What ``/loader/state`` says."""

    name: str = 'booting'
    phase: str = 'boot'
    attempt: int = 1
    reason: str = ''
    profile: str = ''
    vram: str = ''
    dialog_id: str = ''
    turn: int = 0


class StateBoard:
    """Holds the state and tells of each change. Thread-safe.

    The dialog's view counts while the assistant is running; before and after, the phases'.
    """

    def __init__(self, profile: str, publish: Callable[[Snapshot], None]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._snapshot = Snapshot(profile=profile)

    @property
    def snapshot(self) -> Snapshot:
        """The state now."""
        return self._snapshot

    def show_phase(self, name: str, phase: str, attempt: int = 1, reason: str = '',
                   vram: str | None = None) -> None:
        """The assistant as a whole changed: booting, stopping or fatal."""
        with self._lock:
            vram = self._snapshot.vram if vram is None else vram
            self._change(replace(
                self._snapshot, name=name, phase=phase, attempt=attempt, reason=reason,
                vram=vram, dialog_id='', turn=0))

    def run(self) -> None:
        """Every phase is up: from now on the dialog's view counts."""
        self.show_phase('idle', 'running')

    def show_dialog(self, name: str, key: TurnKey, reason: str = '') -> None:
        """The dialog changed."""
        with self._lock:
            if self._snapshot.phase == 'running':
                self._change(replace(
                    self._snapshot, name=name, reason=reason, dialog_id=key.dialog_id,
                    turn=key.turn))

    def _change(self, snapshot: Snapshot) -> None:
        if snapshot != self._snapshot:
            self._snapshot = snapshot
            self._publish(snapshot)
