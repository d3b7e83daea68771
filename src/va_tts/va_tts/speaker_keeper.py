# SPDX-License-Identifier: Apache-2.0
"""Watches the speaker and opens it again when it was unplugged, busy or lost."""

from __future__ import annotations

from collections.abc import Callable
import threading

from va_common.device_calls import DeviceRetry
from va_common.errors import AssistantError, ErrorCode
from va_common.sound_server import fingerprint
from va_tts.playout import Playout
from va_tts.speaker import Speaker, START_STALL_S

CHECK_S = 0.5
_PROOF_S = 0.05


class SpeakerKeeper:
    """A thread that lives from :meth:`start` to :meth:`stop`.

    Args:
        speaker: started.
        lost: told the reason when the device is lost, once per loss.
        opened: told when it is open again, before it is started; sets the line to its rate.
        back: told when it asks for sound again.
        check_s: how often it is looked at.
        retry: when to open it again.
    """

    def __init__(self, speaker: Speaker, lost: Callable[[str], None],
                 opened: Callable[[], Playout], back: Callable[[], None],
                 check_s: float = CHECK_S, retry: DeviceRetry | None = None) -> None:
        self._speaker = speaker
        self._lost = lost
        self._opened = opened
        self._back = back
        self._check_s = check_s
        self._retry = retry or DeviceRetry(hint=fingerprint)
        self._problem: str | None = None
        self._refusal = ''
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name='speaker_keeper', daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the speaker is lost; None while it is not."""
        return self._problem

    def describe(self) -> dict[str, str]:
        """Values for /diagnostics."""
        if self._problem is None:
            return {}
        return {'reopen attempts': str(self._retry.attempts), 'reopen error': self._refusal}

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; bounded by the time PortAudio takes to open a device."""
        self._ending.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._ending.wait(self._check_s):
            if self._speaker.broken:
                continue  # not the device: the health says so
            problem = self._speaker.problem() or self._speaker.moved()
            if problem is not None:
                self._problem = problem
                self._lost(problem)
                self._reopen()

    def _reopen(self) -> None:
        """Try for as long as it takes; the reason of the loss stays what people read."""
        while self._retry.wait(self._ending):
            try:
                self._speaker.close()
                self._speaker.open()
                self._speaker.start(self._opened())
                self._prove()
            except AssistantError as error:
                self._refusal = error.message
                continue
            self._problem, self._refusal = None, ''
            self._retry.reset()
            self._back()
            return

    def _prove(self) -> None:
        """Only a device that asks for sound is back."""
        before = self._speaker.blocks
        waited_s = 0.0
        while self._speaker.blocks == before and not self._ending.wait(_PROOF_S):
            waited_s += _PROOF_S
            if waited_s > START_STALL_S:
                raise AssistantError(
                    ErrorCode.DEVICE_FAILED, f'speaker {self._speaker.name!r} asks for no sound')
