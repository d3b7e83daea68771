# SPDX-License-Identifier: Apache-2.0
import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
import pytest

from va_common.errors import AssistantError
from va_common.health import check, HealthServer, HealthState


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_not_serving_until_told_otherwise(port):
    server = HealthServer(port)
    server.start()
    try:
        assert check(port) == HealthState.NOT_SERVING
        server.set(True)
        assert check(port) == HealthState.SERVING
        server.set(False)
        assert check(port) == HealthState.NOT_SERVING
    finally:
        server.stop()
    assert check(port) == HealthState.UNREACHABLE


def test_watch_follows(port):
    server = HealthServer(port)
    server.start()
    try:
        with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            states = stub.Watch(health_pb2.HealthCheckRequest(), timeout=5)
            assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
            server.set(True)
            assert next(states).status == health_pb2.HealthCheckResponse.SERVING
            states.cancel()
    finally:
        server.stop()


def test_a_taken_port_is_named(port):
    with socket.socket() as other:
        other.bind(('127.0.0.1', port))
        other.listen()
        with pytest.raises(AssistantError, match=f'port {port} on 127.0.0.1 is taken'):
            HealthServer(port).start()
