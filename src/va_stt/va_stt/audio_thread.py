# SPDX-License-Identifier: Apache-2.0
"""The thread that reads the microphone, and opens it again when it is lost."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Protocol

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.retry_backoff import Backoff
from va_stt.audio_source import AudioSource
from va_stt.blocks import Block

READ_TIMEOUT_S = 0.2
QUIET_S = 5.0
STOP_TIMEOUT_S = 3.0


class BlockSink(Protocol):
    """What the blocks go to: :class:`~va_stt.capture_pipeline.CapturePipeline`."""

    def feed(self, block: Block) -> None:
        """Take the next block."""
        ...

    def restart(self) -> None:
        """The stream begins anew."""
        ...


class AudioThread:
    """Owns the thread between :meth:`start` and :meth:`stop`.

    Args:
        source: where blocks come from.
        sink: where they go.
        on_advance: told the number of samples of each block.
        on_lost: told once when the sound stops coming, with the reason.
        on_back: told when it comes again.
        backoff: pauses between attempts to open the source again.
        clock: any steady clock, seconds.
    """

    def __init__(self, source: AudioSource, sink: BlockSink, *,
                 on_advance: Callable[[int], None], on_lost: Callable[[AssistantError], None],
                 on_back: Callable[[], None], backoff: Backoff | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._sink = sink
        self._on_advance = on_advance
        self._on_lost = on_lost
        self._on_back = on_back
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self._heard = False
        self._heard_at = 0.0

    @property
    def problem(self) -> str | None:
        """Why no sound comes; None while it does."""
        if self._problem is not None:
            return self._problem
        if self._thread is None or not self._thread.is_alive():
            return 'the audio thread does not run'
        return None if self._heard else 'no sound from the microphone yet'

    def start(self) -> None:
        """Start the source and the thread.

        Raises:
            AssistantError: DEVICE_FAILED from the source.
        """
        self._source.start()
        self._stopping.clear()
        self._problem = None
        self._heard = False
        self._heard_at = self._clock()
        self._backoff.reset()
        self._thread = threading.Thread(target=self._run, name='stt-audio', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and stop the source; idempotent.

        Raises:
            AssistantError: TIMEOUT when the thread does not end.
        """
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
            if thread.is_alive():
                message = f'the audio thread did not end within {STOP_TIMEOUT_S:g} s'
                raise AssistantError(ErrorCode.TIMEOUT, message)
        self._source.stop()

    def _run(self) -> None:
        try:
            self._sink.restart()
            while not self._stopping.is_set():
                self._step()
        except Exception as error:
            # Not the device: an engine or a mistake. The health says so, the loader restarts.
            reason = error_of(error)
            self._lose(AssistantError(reason.code, f'audio thread failed: {reason.message}'))

    def _step(self) -> None:
        try:
            block = self._source.read(READ_TIMEOUT_S)
        except AssistantError as error:
            self._lose(error)
            self._reopen()
            return
        if block is None:
            quiet_s = self._clock() - self._heard_at
            if quiet_s > QUIET_S:
                message = f'no sound from the microphone for {QUIET_S:g} s'
                self._lose(AssistantError(ErrorCode.DEVICE_FAILED, message))
            return
        self._heard = True
        self._heard_at = self._clock()
        self._sink.feed(block)
        self._on_advance(len(block.samples))
        if self._problem is not None:
            self._problem = None
            self._backoff.reset()
            self._on_back()

    def _lose(self, error: AssistantError) -> None:
        first = self._problem is None
        self._problem = error.message
        if first:
            self._on_lost(error)

    def _reopen(self) -> None:
        while not self._stopping.wait(self._backoff.next()):
            try:
                self._source.close()
                self._source.open()
                self._source.start()
            except AssistantError as error:
                self._problem = error.message
                continue
            self._heard_at = self._clock()
            self._sink.restart()
            return
