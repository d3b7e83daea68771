# SPDX-License-Identifier: Apache-2.0
"""rclpy's executor for nodes that wait most of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.executors import (
    ConditionReachedException,
    ExternalShutdownException,
    MultiThreadedExecutor,
    ShutdownException,
    TimeoutException,
)
from rclpy.task import Task

_ENDED = (ExternalShutdownException, ShutdownException, TimeoutException,
          ConditionReachedException)
_BRIEF = 'is_brief'

_Function = TypeVar('_Function', bound=Callable[..., Any])


def brief(callback: _Function) -> _Function:
    """Mark a subscription's or timer's callback that only hands over what it is given.

    :class:`NodeExecutor` calls it in the thread that waits: it must never block.
    """
    setattr(callback, _BRIEF, True)
    return callback


class NodeExecutor(MultiThreadedExecutor):  # type: ignore[misc]
    """A :class:`MultiThreadedExecutor` that costs a fifth for a stream of messages.

    The one of rclpy 9.1.2 yields a task again and again until a thread of its pool has begun with
    it, and collects what to wait for three times for each message: 8.6 ms of CPU time for a chunk
    of sound that goes into a queue. Here a task is yielded once, and a :func:`brief` callback
    needs no other thread.
    """

    def _spin_once_impl(self, timeout_sec: Any = None,
                        wait_condition: Callable[[], bool] = lambda: False) -> None:
        try:
            task, entity, node = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except _ENDED:
            return
        with self._tasks_lock:
            self._tasks: list[Any] = [waiting for waiting in self._tasks if waiting[0] is not task]
        if _is_brief(entity):
            task()
            task.result()  # raises what the callback raised
            return
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

    def _make_handler(self, entity: Any, node: Any, take_from_wait_list: Any) -> Any:
        if not _is_brief(entity):
            return super()._make_handler(entity, node, take_from_wait_list)

        # As rclpy's, but nobody has to be told that it is done: it is this thread that waits.
        async def handler() -> None:
            group = entity.callback_group
            if not group.beginning_execution(entity):
                return
            try:
                with self._work_tracker:
                    call = take_from_wait_list(entity)
                    if call is not None:
                        await call()
            finally:
                group.ending_execution(entity)

        return Task(handler, executor=self)


def _is_brief(entity: Any) -> bool:
    return getattr(getattr(entity, 'callback', None), _BRIEF, False)
