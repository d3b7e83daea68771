# SPDX-License-Identifier: Apache-2.0
"""One thread behind a bounded queue: where a node's inference runs, never in a ROS callback."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import queue
import threading
from typing import Any, TypeVar

from va_common.errors import AssistantError, ErrorCode

T = TypeVar('T')
_Job = tuple['Future[Any]', Callable[..., Any], tuple[Any, ...]]


class Worker:
    """Runs submitted functions one after another in a thread of its own.

    The owner calls :meth:`stop`; jobs still waiting then are cancelled.
    """

    def __init__(self, name: str, maxsize: int) -> None:
        self.name = name
        self._jobs: queue.Queue[_Job | None] = queue.Queue(maxsize)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Jobs waiting, without the one that runs."""
        return self._jobs.qsize()

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Queue ``function(*args)``.

        Raises:
            AssistantError: BUSY when the queue is full, NOT_ACTIVE after :meth:`stop`.
        """
        if self._stopping.is_set():
            raise AssistantError(ErrorCode.NOT_ACTIVE, f'worker {self.name} has been stopped')
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((future, function, args))
        except queue.Full:
            message = f'worker {self.name}: queue is full ({self._jobs.maxsize} jobs waiting)'
            raise AssistantError(ErrorCode.BUSY, message) from None
        return future

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread after the running job; idempotent.

        Raises:
            AssistantError: TIMEOUT when the running job outlasts ``timeout_s``.
        """
        self._stopping.set()
        self._cancel_waiting()
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            self._cancel_waiting()
            self._jobs.put_nowait(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            message = f'worker {self.name}: its job still runs after {timeout_s:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message)

    def _cancel_waiting(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job[0].cancel()

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._jobs.get()
            if job is None:
                return
            future, function, args = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*args)
            except BaseException as error:  # the future carries it to whoever asked
                future.set_exception(error)
            else:
                future.set_result(result)
