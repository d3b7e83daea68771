# SPDX-License-Identifier: Apache-2.0
"""The standard gRPC health service (grpc.health.v1.Health), server and client, on loopback."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import Enum
import socket

import grpc
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from va_common.errors import AssistantError, ErrorCode

PORTS = {'logger': 5001, 'loader': 5002, 'kwd': 5003, 'stt': 5004, 'llm': 5005, 'tts': 5006}
"""Each process's port, before ``[system] port_offset`` is added."""

# A Watch holds a thread for as long as its client stays: enough for a few watchers.
_THREADS = 8


class HealthState(Enum):
    """What a health check found."""

    SERVING = 'SERVING'
    NOT_SERVING = 'NOT_SERVING'
    UNREACHABLE = 'UNREACHABLE'


class HealthServer:
    """Serves Check and Watch on 127.0.0.1; NOT_SERVING until told otherwise."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._serving = False
        self._servicer = grpc_health.HealthServicer()
        # A fresh servicer answers SERVING for the empty name, which would be a lie.
        self._servicer.set('', health_pb2.HealthCheckResponse.NOT_SERVING)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix='health')
        self._server = grpc.server(self._pool, options=[('grpc.so_reuseport', 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)

    @property
    def serving(self) -> bool:
        """What clients are told."""
        return self._serving

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

    def set(self, serving: bool) -> None:
        """Tell clients, watchers included."""
        if serving == self._serving:
            return
        self._serving = serving
        status = health_pb2.HealthCheckResponse
        self._servicer.set('', status.SERVING if serving else status.NOT_SERVING)

    def stop(self) -> None:
        """Say NOT_SERVING to the watchers and close the port; idempotent."""
        self._servicer.enter_graceful_shutdown()
        self._server.stop(grace=0.2).wait(2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)


def check(port: int, timeout_s: float = 1.0) -> HealthState:
    """Ask the process on ``port`` of this host once."""
    with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return HealthState.UNREACHABLE
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return HealthState.SERVING
    return HealthState.NOT_SERVING


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
