# SPDX-License-Identifier: Apache-2.0
"""The standard gRPC health service (grpc.health.v1.Health), server and client, on loopback.

``Check`` answers, beside the standard status, with trailing metadata that any client may ignore:

    ==================  ==========================================================================
    va-problem-bin      why NOT_SERVING, one sentence in UTF-8
    va-since-ms         for how long already
    va-waits-device     ``1``: the node is well and opens its device again by itself; restarting
                        it would not help
    ==================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
import socket
import threading
import time
from typing import Any

import grpc
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from va_common.errors import AssistantError, ErrorCode

# A Watch holds no thread: the answers of the health service are sent by whoever sets them.
_THREADS = 4
MAX_WATCHERS = 32
STALE_S = 2.0
"""A node that reports every 0.5 s and has not for so long is wedged."""
_LOOK_S = 0.5
_KEY_PROBLEM = 'va-problem-bin'
_KEY_SINCE = 'va-since-ms'
_KEY_DEVICE = 'va-waits-device'
_PROBLEM_BYTES = 1000

class HealthState(Enum):
    """What a health check found."""

    SERVING = 'SERVING'
    NOT_SERVING = 'NOT_SERVING'
    UNREACHABLE = 'UNREACHABLE'


@dataclass(frozen=True)
class Health:
    """One answer to a health check."""

    state: HealthState
    problem: str = ''
    """Why not SERVING, for people; empty where the process did not say."""
    since_s: float = 0.0
    """For how many seconds the process has known."""
    waits_for_device: bool = False
    """The process is well and opens its device again by itself."""


class HealthServer:
    """Serves Check and Watch on 127.0.0.1; NOT_SERVING until told otherwise.

    Args:
        port: of this host.
        stale_s: with :meth:`set` not called for so long, SERVING becomes NOT_SERVING: whoever
            should call it hangs. 0: what was set stays.
        clock: steady seconds.
    """

    def __init__(self, port: int, stale_s: float = 0.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self._stale_s = stale_s
        self._clock = clock
        self._lock = threading.Lock()
        self._health = Health(HealthState.NOT_SERVING, 'starting')
        self._since_s = self._told_s = clock()
        self._servicer = _Servicer(self.now)
        self._pool = ThreadPoolExecutor(_THREADS + MAX_WATCHERS, thread_name_prefix='health')
        self._server = grpc.server(self._pool, options=[('grpc.so_reuseport', 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self._ending = threading.Event()
        self._look = threading.Thread(target=self._watch_reporter, name='health', daemon=True)

    @property
    def serving(self) -> bool:
        """What clients are told."""
        return self.now().state is HealthState.SERVING

    def start(self) -> None:
        """Open the port.

        Raises:
            AssistantError: UNAVAILABLE when the port is taken.
        """
        _require_free(self.port)
        try:
            self._server.add_insecure_port(f'127.0.0.1:{self.port}')
        except RuntimeError as error:
            raise _port_taken(self.port) from error
        self._server.start()
        if self._stale_s > 0:
            self._look.start()

    def set(self, serving: bool, problem: str = '', waits_for_device: bool = False) -> None:
        """Tell clients, watchers included.

        Args:
            serving: the process does its work.
            problem: why not, one sentence.
            waits_for_device: see :class:`Health`.
        """
        state = HealthState.SERVING if serving else HealthState.NOT_SERVING
        now_s = self._clock()
        with self._lock:
            if state is not self._health.state:
                self._since_s = now_s
            self._told_s = now_s
            self._health = Health(state, '' if serving else problem, 0.0, waits_for_device)
            self._servicer.show(state)

    def stop(self) -> None:
        """Say NOT_SERVING to the watchers and close the port; idempotent."""
        self._ending.set()
        self._servicer.enter_graceful_shutdown()
        self._server.stop(grace=0.2).wait(2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._look.is_alive():
            self._look.join(2.0)

    def now(self) -> Health:
        """What clients are told, with its age; stale when nobody has reported for too long."""
        with self._lock:
            now_s = self._clock()
            silent_s = now_s - self._told_s
            if 0 < self._stale_s < silent_s:
                self._servicer.show(HealthState.NOT_SERVING)
                return Health(HealthState.NOT_SERVING,
                              f'it hangs: its executor has stood still for {silent_s:.1f} s',
                              silent_s)
            health = self._health
            return Health(health.state, health.problem, now_s - self._since_s,
                          health.waits_for_device)

    def _watch_reporter(self) -> None:
        while not self._ending.wait(_LOOK_S):
            self.now()  # watchers are told as soon as it is stale


class _Servicer(grpc_health.HealthServicer):  # type: ignore[misc]
    """The reference servicer; its answers say why, and its watchers are bounded."""

    def __init__(self, health: Callable[[], Health]) -> None:
        # Its other way, without a thread for each watcher, deadlocks when a watcher leaves while
        # it is being told: it waits, under its lock, for the thread that waits for the lock.
        super().__init__(experimental_non_blocking=False)
        self._health = health
        self._shown = HealthState.NOT_SERVING
        self._watchers = 0
        # A fresh servicer answers SERVING for the empty name, which would be a lie.
        self.set('', health_pb2.HealthCheckResponse.NOT_SERVING)

    def show(self, state: HealthState) -> None:
        """Tell the watchers of a change."""
        if state is not self._shown:
            self._shown = state
            self.set('', getattr(health_pb2.HealthCheckResponse, state.value))

    def Check(self, request: Any, context: Any) -> Any:
        """The standard call."""
        health = self._health()
        if not request.service:
            context.set_trailing_metadata(_metadata(health))
        return super().Check(request, context)

    def Watch(self, request: Any, context: Any,
              send_response_callback: Any = None) -> Any:
        """The standard call; one watcher too many is refused."""
        with self._lock:
            full = self._watchers >= MAX_WATCHERS
            self._watchers += not full
        if full:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED,
                          f'{MAX_WATCHERS} watchers: expected no more; use Check')
        context.add_callback(self._leave)
        return super().Watch(request, context, send_response_callback)

    def _leave(self) -> None:
        with self._lock:
            self._watchers -= 1


class HealthAsker:
    """Asks one process again and again over one connection: half the cost. Thread-safe.

    Args:
        port: of this host.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._channel: Any = None

    def ask(self, timeout_s: float = 1.0) -> Health:
        """What the process says, and why; connects anew after it could not be reached."""
        with self._lock:
            if self._channel is None:
                self._channel = _connect(self._port)
            channel = self._channel
        health = _answer(channel, timeout_s)
        if health.state is HealthState.UNREACHABLE:
            self._leave(channel)
        return health

    def close(self) -> None:
        """Leave; idempotent. Asking again connects again."""
        self._leave(self._channel)

    def _leave(self, channel: Any) -> None:
        with self._lock:
            if channel is None or channel is not self._channel:
                return
            self._channel = None
        channel.close()


def check(port: int, timeout_s: float = 1.0) -> HealthState:
    """Ask the process on ``port`` of this host once."""
    return ask(port, timeout_s).state


def ask(port: int, timeout_s: float = 1.0) -> Health:
    """Ask the process on ``port`` of this host once, and why."""
    with _connect(port) as channel:
        return _answer(channel, timeout_s)


def _connect(port: int) -> Any:
    return grpc.insecure_channel(f'127.0.0.1:{port}')


def _answer(channel: Any, timeout_s: float) -> Health:
    call = health_pb2_grpc.HealthStub(channel).Check
    try:
        answer, rpc = call.with_call(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    except (grpc.RpcError, ValueError):  # the latter when another thread has left
        return Health(HealthState.UNREACHABLE)
    said = dict(rpc.trailing_metadata() or ())
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return Health(HealthState.SERVING)
    return _health_of(said)


def _metadata(health: Health) -> tuple[tuple[str, str | bytes], ...]:
    if health.state is HealthState.SERVING:
        return ()
    return ((_KEY_PROBLEM, health.problem.encode()[:_PROBLEM_BYTES]),
            (_KEY_SINCE, str(round(health.since_s * 1000))),
            (_KEY_DEVICE, '1' if health.waits_for_device else '0'))


def _health_of(said: dict[str, str | bytes]) -> Health:
    """What NOT_SERVING came with; nothing of it from another program on the port."""
    problem, since = said.get(_KEY_PROBLEM, b''), said.get(_KEY_SINCE, '')
    text = problem.decode('utf-8', 'replace') if isinstance(problem, bytes) else problem
    since_s = int(since) / 1000.0 if isinstance(since, str) and since.isdigit() else 0.0
    return Health(HealthState.NOT_SERVING, text, since_s, said.get(_KEY_DEVICE) == '1')


def _require_free(port: int) -> None:
    # gRPC's own message for a taken port is a paragraph of C++; this one is ours.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError as error:
            raise _port_taken(port) from error


def _port_taken(port: int) -> AssistantError:
    return AssistantError(
        ErrorCode.UNAVAILABLE,
        f'gRPC health port {port} on 127.0.0.1 is taken, expected it free: stop the other '
        f'program, or set port_offset in [system]')
