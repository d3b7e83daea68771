# SPDX-License-Identifier: Apache-2.0
"""``audio_source=topic``: the microphone of another computer, chunk by chunk."""

from __future__ import annotations

import queue

from va_common.audio_io import StreamResampler
from va_stt.blocks import Block, Int16, RATE

QUEUE_CHUNKS = 50


class TopicSource:
    """Chunks that a subscription offers, as an :class:`~va_stt.audio_source.AudioSource`.

    Chunks that arrive while the queue is full are dropped and counted.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Int16, int, float]] = queue.Queue(QUEUE_CHUNKS)
        self._running = False
        self._rate = 0
        self._next_sequence: int | None = None
        self.missed_chunks = 0
        self.lost_chunks = 0

    def offer(self, samples: Int16, rate: int, start_s: float, sequence: int) -> None:
        """Take one chunk, from any thread.

        Args:
            samples: mono, int16, shape (n,).
            rate: samples per second.
            start_s: capture time of the first sample, Unix seconds.
            sequence: number of the chunk; a step of more than one is counted as loss.
        """
        if not self._running or not len(samples):
            return
        if self._next_sequence is not None and sequence > self._next_sequence:
            self.lost_chunks += sequence - self._next_sequence
        self._next_sequence = sequence + 1
        try:
            self._queue.put_nowait((samples, rate, start_s))
        except queue.Full:
            self.missed_chunks += 1

    def open(self) -> None:
        """Nothing to open: whoever publishes may come later."""

    def start(self) -> None:
        """Begin to take chunks."""
        self._next_sequence = None
        self._running = True

    def read(self, timeout_s: float, ahead_s: float = 0.0) -> Block | None:
        """The next chunk as mono 16 kHz, however short; None when none came in time."""
        try:
            samples, rate, start_s = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        return self._convert(samples, rate, start_s)

    def stop(self) -> None:
        """Take no more chunks."""
        self._running = False
        while not self._queue.empty():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

    def close(self) -> None:
        """Nothing to close."""
        self.stop()

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        return {'microphone': f'topic, {self._rate} Hz', 'missed_blocks': str(self.missed_chunks),
                'lost_chunks': str(self.lost_chunks)}

    def warnings(self) -> list[str]:
        """Nothing is known about the device."""
        return []

    def _convert(self, samples: Int16, rate: int, start_s: float) -> Block:
        if rate != self._rate:
            self._rate = rate
            self._resampler = StreamResampler(rate, RATE, 'int16')
            self._taken = self._given = 0
        held_s = self._taken / rate - self._given / RATE
        out = self._resampler.process(samples)
        self._taken += len(samples)
        self._given += len(out)
        return Block(out, start_s - held_s)
