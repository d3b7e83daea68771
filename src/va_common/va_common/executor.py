# SPDX-License-Identifier: Apache-2.0
"""rclpy's executor for nodes that wait most of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.executors import (
    ConditionReachedException,
    ExternalShutdownException,
    MultiThreadedExecutor,
    ShutdownException,
    TimeoutException,
)

_ENDED = (ExternalShutdownException, ShutdownException, TimeoutException,
          ConditionReachedException)


class NodeExecutor(MultiThreadedExecutor):  # type: ignore[misc]
    """A :class:`MultiThreadedExecutor` that yields each task once.

    The one of rclpy 9.1.2 yields it again and again until a thread of its pool has begun with it.
    """

    def _spin_once_impl(self, timeout_sec: Any = None,
                        wait_condition: Callable[[], bool] = lambda: False) -> None:
        try:
            task, entity, node = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except _ENDED:
            return
        with self._tasks_lock:
            self._tasks: list[Any] = [waiting for waiting in self._tasks if waiting[0] is not task]
        self._executor.submit(self._run, task, entity, node)
        self._futures.append(task)
        for done in [future for future in self._futures if future.done()]:
            self._futures.remove(done)
            done.result()

    def shutdown(self, timeout_sec: float | None = None, *,
                 wait_for_threads: bool = True) -> bool:
        """As rclpy's; what a task of the pool signals is destroyed after the task has ended."""
        self._executor.shutdown(wait=wait_for_threads)
        return bool(super().shutdown(timeout_sec, wait_for_threads=wait_for_threads))

    def _run(self, task: Any, entity: Any, node: Any) -> None:
        task()
        if task.done() or task.cancelled():
            return
        with self._tasks_lock:  # a coroutine that waits: it is looked at again
            self._tasks.append((task, entity, node))
            if self._guard:
                self._guard.trigger()
