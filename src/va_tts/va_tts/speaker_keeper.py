# SPDX-License-Identifier: Apache-2.0
"""Watches the speaker and opens it again when it was unplugged, busy or lost."""

from __future__ import annotations

from collections.abc import Callable
import threading

from va_common.errors import AssistantError
from va_common.retry_backoff import Backoff
from va_tts.playout import Playout
from va_tts.speaker import Speaker

CHECK_S = 0.5


class SpeakerKeeper:
    """A thread that lives from :meth:`start` to :meth:`stop`.

    Args:
        speaker: started.
        lost: told the reason when the device is lost, once per loss.
        back: told when it works again, before it is started; sets the line to the device's rate.
        warn: takes a line for the log.
    """

    def __init__(self, speaker: Speaker, lost: Callable[[str], None],
                 back: Callable[[], Playout], warn: Callable[[str], None],
                 check_s: float = CHECK_S) -> None:
        self._speaker = speaker
        self._lost = lost
        self._back = back
        self._warn = warn
        self._check_s = check_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name='speaker_keeper', daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; bounded by the time PortAudio takes to open a device."""
        self._ending.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._ending.wait(self._check_s):
            problem = self._speaker.problem()
            if problem is not None:
                self._lost(problem)
                self._reopen()

    def _reopen(self) -> None:
        backoff = Backoff()
        while not self._ending.wait(backoff.next()):
            try:
                self._speaker.close()
                self._speaker.rescan()
                self._speaker.open()
                self._speaker.start(self._back())
                return
            except AssistantError as error:
                self._warn(error.message)
