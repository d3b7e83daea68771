# SPDX-License-Identifier: Apache-2.0
"""The life of a node's process: environment, executor, signals, exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import importlib
import os
import signal
import sys
import threading
import traceback
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions

from va_common import local_only, memory, process
from va_common.errors import AssistantError, ErrorCode
from va_common.executor import NodeExecutor
from va_common.spinning import Spinner

EXIT_CLEAN = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_TAKEN = 3

# Transitions, services and timers may each hold one; inference runs in workers of its own.
_EXECUTOR_THREADS = 6
_SHUTDOWN_TIMEOUT_S = 2.0


def run_node(factory: Callable[[], Any]) -> int:
    """Run one node until SIGINT or SIGTERM and return the exit code of its process.

    0 after a signal, 1 after a failure, 2 for a parameter that is refused, 3 for a taken port.
    """
    process.die_with_parent()
    memory.return_large_blocks()
    # DDS reads this when the participant is made; a program that opens the graph sets VA_DDS=open.
    local_only.apply(os.environ.get('VA_DDS', 'local'))
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = factory()
    except Exception as error:
        rclpy.try_shutdown()
        return _report_start_failure(error)
    process_of_node = _Process(node)
    process_of_node.import_ahead(node.engine_modules())
    return process_of_node.run()


def _report_start_failure(error: Exception) -> int:
    if isinstance(error, AssistantError):
        print(error.message, file=sys.stderr)
        return EXIT_TAKEN if error.code == ErrorCode.UNAVAILABLE else EXIT_FAILED
    if type(error).__module__.startswith('rclpy') or isinstance(error, ValueError):
        print(f'parameter refused: {error}', file=sys.stderr)
        return EXIT_CONFIGURATION
    traceback.print_exception(error)
    return EXIT_FAILED


class _Process:
    """Spins the node in a thread; the main thread waits for a signal or a failure."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._executor = NodeExecutor(_EXECUTOR_THREADS)
        self._executor.add_node(node)
        self._ended = threading.Event()
        self._exit_code = EXIT_CLEAN

    def import_ahead(self, modules: Sequence[str]) -> None:
        """Import in a thread, while the node waits to be configured; its end is waited for."""
        threading.Thread(target=self._import, args=(tuple(modules),), name='imports').start()

    def _import(self, modules: Sequence[str]) -> None:
        for name in modules:
            if self._ended.is_set():
                return
            try:
                importlib.import_module(name)
            except Exception as error:
                # Configure tries again, and fails with its reason.
                self._node.log.warning(f'{name} cannot be imported: {error}')

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        spinner = Spinner(self._executor, self._on_failure)
        self._ended.wait()
        # Closed while the executor still spins: the last log lines leave through it.
        self._node.close(lambda: spinner.stop(_SHUTDOWN_TIMEOUT_S))
        rclpy.try_shutdown()
        return self._exit_code

    def _on_signal(self, number: int, frame: object) -> None:
        # Under ros2 launch Ctrl-C comes twice; the second would kill the interpreter as it ends.
        signal.signal(number, signal.SIG_IGN)
        self._ended.set()

    def _on_failure(self, error: BaseException) -> None:
        # Out of a callback: the node is in an unknown state, the loader restarts it.
        traceback.print_exception(error)
        self._exit_code = EXIT_FAILED
        self._ended.set()
