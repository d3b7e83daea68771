# SPDX-License-Identifier: Apache-2.0
"""The thread that reads the microphone, and opens it again when it is lost."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Protocol

from va_common.device_calls import DeviceRetry
from va_common.errors import AssistantError, error_of, ErrorCode
from va_stt.audio_source import AudioSource
from va_stt.blocks import Block

READ_TIMEOUT_S = 0.2
QUIET_S = 2.5
HANG_S = 2.0
"""A step takes milliseconds and at most :data:`READ_TIMEOUT_S` of waiting."""
STOP_TIMEOUT_S = 3.0


class BlockSink(Protocol):
    """What the blocks go to: :class:`~va_stt.capture_pipeline.CapturePipeline`."""

    @property
    def wants_s(self) -> float:
        """Seconds of sound before which it would only wait for more."""
        ...

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
        retry: when to open the source again.
        clock: any steady clock, seconds.
    """

    def __init__(self, source: AudioSource, sink: BlockSink, *,
                 on_advance: Callable[[int], None], on_lost: Callable[[AssistantError], None],
                 on_back: Callable[[], None], retry: DeviceRetry | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._sink = sink
        self._on_advance = on_advance
        self._on_lost = on_lost
        self._on_back = on_back
        self._retry = retry or DeviceRetry()
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self._waits = False
        self._refusal = ''
        self._heard = False
        self._heard_at = self._stepped_at = 0.0

    @property
    def problem(self) -> str | None:
        """Why no sound comes; None while it does."""
        if self._problem is not None:
            return self._problem
        if self._thread is None or not self._thread.is_alive():
            return 'the audio thread does not run'
        if self._clock() - self._stepped_at > HANG_S:
            return f'it hangs: the audio thread has stood still for more than {HANG_S:g} s'
        return None if self._heard else 'no sound from the microphone yet'

    @property
    def waits_for_device(self) -> bool:
        """Whether the problem is the source, which is opened again for as long as it takes."""
        return self._waits and self._problem is not None

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        if not self._refusal:
            return {}
        return {'reopen_attempts': str(self._retry.attempts), 'reopen_error': self._refusal}

    def start(self) -> None:
        """Start the source and the thread.

        Raises:
            AssistantError: DEVICE_FAILED from the source.
        """
        self._source.start()
        self._stopping.clear()
        self._problem = None
        self._heard = False
        self._refusal = ''
        self._heard_at = self._stepped_at = self._clock()
        self._retry.reset()
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
                self._stepped_at = self._clock()
                self._step()
        except Exception as error:
            # Not the device: an engine or a mistake. The health says so, the loader restarts.
            reason = error_of(error)
            message = f'audio thread failed: {reason.message}'
            self._lose(AssistantError(ErrorCode.INTERNAL, message))

    def _step(self) -> None:
        try:
            block = self._source.read(READ_TIMEOUT_S, self._sink.wants_s)
        except AssistantError as error:
            self._lose(error)
            self._reopen()
            return
        if block is None:
            quiet_s = self._clock() - self._heard_at
            if quiet_s > QUIET_S:
                message = f'no sound comes in for {QUIET_S:g} s: does its sender run?'
                self._lose(AssistantError(ErrorCode.DEVICE_FAILED, message))
            return
        self._heard = True
        self._heard_at = self._clock()
        self._sink.feed(block)
        self._on_advance(len(block.samples))
        if self._problem is not None:
            self._problem = None
            self._refusal = ''
            self._retry.reset()
            self._on_back()

    def _lose(self, error: AssistantError) -> None:
        first = self._problem is None
        self._waits = error.code in (ErrorCode.DEVICE_FAILED, ErrorCode.UNAVAILABLE)
        if first or not self._waits:
            self._problem = error.message
        if first:
            self._on_lost(error)

    def _reopen(self) -> None:
        """Try for as long as it takes; the reason of the loss stays what people read."""
        while self._retry.wait(self._stopping):
            try:
                self._source.close()
                self._source.open()
                self._source.start()
            except AssistantError as error:
                self._refusal = error.message
                continue
            self._heard_at = self._clock()
            self._sink.restart()
            return
