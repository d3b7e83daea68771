# SPDX-License-Identifier: Apache-2.0
"""A thread that spins an executor and can be ended without rclpy's shutdown race."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, ShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation

RCLError = rclpy_implementation.RCLError
TORN_S = 2.0
"""For so long waits may be torn by something that is being destroyed: its thread may be off the
processor between destroying it and taking it out of the node."""
TORN_PAUSE_S = 0.002


class Spinner:
    """Spins ``executor`` in a thread of its own until :meth:`stop`.

    ``Executor.spin`` is not used: ``shutdown`` (rclpy 9.1.2) does not wait for it and destroys
    what it still waits on, which then raises ``InvalidHandle``. Here the loop ends first.

    Args:
        executor: a rclpy executor.
        on_failure: told, in that thread, of an exception that came out of a callback; the
            spinning ends with it.
    """

    def __init__(self, executor: Any, on_failure: Callable[[BaseException], None]) -> None:
        self._executor = executor
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='executor', daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread, then shut the executor down; idempotent."""
        self._stopping.set()
        # wake() alone goes back to waiting; a task makes spin_once return.
        self._executor.create_task(lambda: None)
        self._thread.join(timeout_s)
        self._executor.shutdown(0.0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._spin_once()
        except (ExternalShutdownException, ShutdownException):
            return  # the context was shut down: an ordinary end
        except BaseException as error:
            self._on_failure(error)

    def _spin_once(self) -> None:
        """Once more where something was destroyed while the executor collected what to wait for.

        rclpy (9.1.2) leaves a destroyed subscription out of the wait, but neither its event
        handler nor an action server.
        """
        until_s = time.monotonic() + TORN_S
        while True:
            try:
                self._executor.spin_once()
                return
            except (InvalidHandle, RCLError) as error:
                if not _is_torn(error) or time.monotonic() > until_s:
                    raise
            if self._stopping.wait(TORN_PAUSE_S):
                return


def _is_torn(error: Exception) -> bool:
    return isinstance(error, InvalidHandle) or 'to wait set' in str(error)
