# SPDX-License-Identifier: Apache-2.0
"""The speaker of a robot whose loudspeaker is elsewhere: chunks on a topic, in real time."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

import numpy as np

from va_common.audio_io import CHUNK_S, float_to_int16, Int16
from va_tts.playout import Playout

LEAD_S = 0.1
"""A chunk is sent this long before the play time that it is stamped with."""
_IDLE_S = 0.5

Publish = Callable[[Int16, float], None]


class TopicSink:
    """Sends 80 ms chunks, paced, while there is sound; see :class:`va_tts.sound_out.SoundOut`.

    Args:
        rate: Hz.
        publish: takes int16 (n,) and the Unix time at which it is to be heard.
    """

    def __init__(self, rate: int, publish: Publish) -> None:
        self._rate = rate
        self._publish = publish
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: str | None = None
        self.chunks = 0

    @property
    def rate(self) -> int:
        """Hz."""
        return self._rate

    @property
    def latency_s(self) -> float:
        """From sending to play time."""
        return LEAD_S

    def open(self) -> None:
        """Nothing to open."""

    def start(self, playout: Playout) -> None:
        """Begin to send."""
        self._fault = None
        self._ending.clear()
        self._thread = threading.Thread(
            target=self._run, args=(playout,), name='topic_sink', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; idempotent."""
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(2 * _IDLE_S)

    def close(self) -> None:
        """End the thread; idempotent."""
        self.stop()

    def problem(self) -> str | None:
        """Why nothing is sent."""
        if self._fault is not None:
            return f'audio/speaker: {self._fault}'
        if self._thread is None or not self._thread.is_alive():
            return 'audio/speaker is not being sent'
        return None

    def describe(self) -> dict[str, str]:
        """Values for /diagnostics."""
        return {'output device': 'topic audio/speaker', 'output rate': str(self._rate),
                'output chunks': str(self.chunks)}

    def _run(self, playout: Playout) -> None:
        try:
            while not self._ending.is_set():
                if playout.wait_for_sound(_IDLE_S):
                    self._send_sound(playout)
        except Exception as error:
            self._fault = f'{type(error).__name__}: {error}'

    def _send_sound(self, playout: Playout) -> None:
        """Send one run of sound, chunk by chunk; a steady clock paces it."""
        block = np.zeros(round(CHUNK_S * self._rate), np.float32)
        started = time.monotonic()
        play_s = time.time() + LEAD_S
        sent = 0
        while not self._ending.is_set():
            playout.fill(block, play_s + sent * CHUNK_S)
            self._publish(float_to_int16(block), play_s + sent * CHUNK_S)
            self.chunks += 1
            sent += 1
            self._ending.wait(max(0.0, started + sent * CHUNK_S - time.monotonic()))
            if not playout.buffered_s():
                playout.fill(np.zeros(1, np.float32), play_s + sent * CHUNK_S)
                return
