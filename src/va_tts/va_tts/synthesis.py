# SPDX-License-Identifier: Apache-2.0
"""Synthesis in one worker: a piece at a time, ahead of the sound, abortable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time

import numpy as np

from va_common.audio_io import Float32
from va_common.errors import AssistantError, error_of
from va_common.worker import Worker
from va_tts.kokoro_client import Engine, SAMPLE_RATE
from va_tts.trim_silence import tail_for, trim

_FIRST_RTF = 0.4
_SMOOTHING = 0.3
_STOP_S = 5.0


@dataclass(frozen=True)
class Job:
    """One piece to synthesise."""

    words: str
    voice: str
    speed: float
    owner: int = 0
    index: int = 0


Result = Float32 | AssistantError
Done = Callable[[Job, Result], None]


def resample(samples: Float32, rate: int) -> Float32:
    """From Kokoro's 24 kHz to the device's rate."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    import soxr

    converted: Float32 = soxr.resample(samples, SAMPLE_RATE, rate).astype(np.float32, copy=False)
    return converted


class Synthesiser:
    """Owns the engine and its thread. One job at a time.

    Args:
        engine: a loaded engine; closed by :meth:`close`.
        clock: a steady clock in seconds.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._worker = Worker('tts_synthesis', maxsize=2)
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._since_s = 0.0
        self._rtf = _FIRST_RTF

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of what the engine makes, smoothed."""
        return self._rtf

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._lock:
            return self._job is not None

    @property
    def owner(self) -> int | None:
        """Whose job runs or waits; None when idle."""
        with self._lock:
            return self._job.owner if self._job is not None else None

    @property
    def busy_s(self) -> float:
        """Seconds that the running job has taken; 0 when idle."""
        with self._lock:
            return self._clock() - self._since_s if self._job is not None else 0.0

    def start(self, job: Job, done: Done) -> None:
        """Synthesise in the worker, then call ``done`` there with float32 at 24 kHz or an error.

        Raises:
            AssistantError: BUSY while another job runs, NOT_ACTIVE after :meth:`close`.
        """
        with self._lock:
            self._job, self._since_s = job, self._clock()
        try:
            self._worker.submit(self._run, job, done)
        except AssistantError:
            self._free()
            raise

    def abort(self, owner: int) -> None:
        """End the running job if it is of ``owner``; its ``done`` gets CANCELLED."""
        with self._lock:
            job = self._job
        if job is not None and job.owner == owner:
            self._engine.abort()

    def now(self, job: Job, timeout_s: float) -> Float32:
        """Synthesise and wait, for configure.

        Raises:
            AssistantError: what the engine raises.
            TimeoutError: it took longer than ``timeout_s``.
        """
        return self._worker.submit(self._synthesise, job).result(timeout_s)

    def close(self) -> None:
        """End the worker and let go of the engine; idempotent."""
        self._engine.abort()
        self._worker.stop(_STOP_S)
        self._engine.close()

    def _run(self, job: Job, done: Done) -> None:
        result: Result
        try:
            result = self._synthesise(job)
        except Exception as error:
            result = error_of(error)
        self._free()
        done(job, result)

    def _free(self) -> None:
        with self._lock:
            self._job = None

    def _synthesise(self, job: Job) -> Float32:
        started = self._clock()
        samples = self._engine.synthesise(job.words, job.voice, job.speed)
        if len(samples):
            rtf = (self._clock() - started) / (len(samples) / SAMPLE_RATE)
            self._rtf += _SMOOTHING * (rtf - self._rtf)
        return trim(samples, SAMPLE_RATE, tail_for(job.words))
