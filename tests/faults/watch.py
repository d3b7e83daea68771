# SPDX-License-Identifier: Apache-2.0
"""Sees whether the assistant hears: its state, its sound and the health of its processes."""
from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from virtual_room.observer import Observer, Seen

from faults.places import is_free
from va_common import qos
from va_common.health import check, HealthState
from va_common.ports import PORTS
from va_interfaces.msg import AudioChunk

AWAY = ('', 'booting', 'recovering', 'stopping', 'fatal')
SOUND_AGE_S = 0.5
CHECK_S = 0.5


class Watch(Observer):
    """An observer that also counts the sound on ``stt/audio``."""

    def __enter__(self) -> Watch:
        self.last_sound_s = 0.0
        self.chunks = 0
        super().__enter__()
        self.node.create_subscription(AudioChunk, 'stt/audio', self._on_sound, qos.AUDIO)
        return self

    def _on_sound(self, message: Any) -> None:
        self.last_sound_s = time.time()
        self.chunks += 1

    def rest(self, seconds: float) -> None:
        """Let so much time pass."""
        self.wait(lambda e: False, seconds, mark=self.mark())

    def until(self, condition: Callable[[], bool], timeout_s: float, poll_s: float = 0.1) -> bool:
        """Wait for a condition that no event tells of."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if condition():
                return True
            self.rest(poll_s)
        return condition()

    def wait_state(self, names: tuple[str, ...], timeout_s: float, mark: int = -1,
                   alive: Callable[[], bool] = lambda: True) -> Seen | None:
        """The state, or with a ``mark`` the first event after it, that has one of these names."""
        if mark < 0:
            states = self.since(0, 'loader/state')
            if states and states[-1].message.name in names:
                return states[-1]
            mark = self.mark()
        return self.wait(lambda e: e.topic == 'loader/state' and e.message.name in names,
                         timeout_s, mark=mark, alive=alive)

    def last_state(self) -> Any:
        """The latest message on loader/state; None before the first."""
        states = self.since(0, 'loader/state')
        return states[-1].message if states else None

    def hears(self, offset: int, first: str = 'kwd') -> bool:
        """Whether everything that it needs to hear, answer and remember is at work.

        Asks the node ``first`` before the others, so that watching a restart costs it little.
        """
        if self.state() in AWAY or time.time() - self.last_sound_s > SOUND_AGE_S:
            return False
        ports = [port + offset for port in PORTS.values()]
        if any(is_free(port) for port in ports):
            return False
        ordered = [PORTS[first] + offset, *ports]
        return all(check(port, CHECK_S) is HealthState.SERVING for port in ordered)

    def reasons(self, mark: int) -> list[str]:
        """The reasons on loader/state since ``mark``."""
        return [e.message.reason for e in self.since(mark, 'loader/state') if e.message.reason]
