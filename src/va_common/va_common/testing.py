# SPDX-License-Identifier: Apache-2.0
"""Helpers for the tests of all packages: a ROS context of one's own, spinning, waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
import threading
import time
from typing import Any

import rclpy
from rclpy.context import Context

from va_common import local_only
from va_common.executor import NodeExecutor
from va_common.spinning import Spinner

_POLL_S = 0.005


class FakeClock:
    """A clock that a test moves: call it for the time."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.now_s += seconds


def at_once(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Stands for a worker's ``submit``: runs the job before it returns."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*arguments))
    except Exception as error:
        future.set_exception(error)
    return future


@contextmanager
def ros_context() -> Iterator[Context]:
    """A rclpy context for one test, shut down at its end; nodes take it as ``context=``."""
    local_only.apply()
    context = Context()
    rclpy.init(context=context)
    try:
        yield context
    finally:
        context.try_shutdown()


@contextmanager
def spin(*nodes: Any) -> Iterator[NodeExecutor]:
    """Spin nodes of one context in a thread for the length of a ``with`` block."""
    executor = NodeExecutor(4, context=nodes[0].context)
    for node in nodes:
        executor.add_node(node)
    failures: list[BaseException] = []
    spinner = Spinner(executor, failures.append)
    try:
        yield executor
    finally:
        spinner.stop(2.0)
    assert not failures, f'a callback raised: {failures[0]!r}'


def wait_for(predicate: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Wait until ``predicate()`` is true and return its value.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {timeout_s:g} s: {what}')
        pause.wait(_POLL_S)


def own_memory_mb() -> float:
    """Memory of this process that no file stands behind, MB."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('Anonymous:')) / 1024
