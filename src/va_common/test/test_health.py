# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor
import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
import pytest

from va_common.errors import AssistantError
from va_common.health import (
    ask,
    check,
    Health,
    HealthAsker,
    HealthServer,
    HealthState,
    MAX_WATCHERS,
)
from va_common.testing import wait_for


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


def test_one_connection_follows_a_server_and_its_successor(port):
    asker = HealthAsker(port)
    assert asker.ask().state is HealthState.UNREACHABLE
    for _ in range(2):
        server = HealthServer(port)
        server.start()
        try:
            assert asker.ask().problem == 'starting'
            server.set(True)
            assert asker.ask().state is HealthState.SERVING
        finally:
            server.stop()
        assert asker.ask().state is HealthState.UNREACHABLE
    asker.close()
    asker.close()


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


def test_an_answer_says_why_and_since_when(port):
    server = HealthServer(port)
    server.start()
    try:
        server.set(True)
        server.set(False, 'the microphone is gone: Gerät fehlt', waits_for_device=True)
        said = ask(port)
        assert (said.state, said.waits_for_device) == (HealthState.NOT_SERVING, True)
        assert said.problem == 'the microphone is gone: Gerät fehlt'
        assert said.since_s >= 0.0
        server.set(True)
        assert ask(port) == Health(HealthState.SERVING)
    finally:
        server.stop()


def test_whoever_stops_reporting_does_not_serve(port):
    """Watchers learn it without anybody asking."""
    server = HealthServer(port, stale_s=0.3)
    server.start()
    try:
        server.set(True)
        with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            states = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
            seen = [next(states).status]
            if seen[0] == health_pb2.HealthCheckResponse.SERVING:
                seen.append(next(states).status)
            assert seen[-1] == health_pb2.HealthCheckResponse.NOT_SERVING
            states.cancel()
        assert 'stood still' in ask(port).problem
        server.set(True)
        assert server.serving
    finally:
        server.stop()


def test_watchers_are_bounded_and_hold_nobody_up(port):
    server = HealthServer(port)
    server.start()
    server.set(True)
    try:
        with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
                       for _ in range(MAX_WATCHERS)]
            for watch in watches:
                assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as refused:
                next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=60))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert check(port, 10.0) is HealthState.SERVING
            watches.pop().cancel()
            wait_for(lambda: _can_watch(stub), 20.0, 'a place is free again')
            for watch in watches:
                watch.cancel()
    finally:
        server.stop()


def test_a_watcher_that_leaves_while_it_is_told_holds_nobody_up(port):
    server = HealthServer(port)
    server.start()

    def tell_leavers():
        with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for turn in range(50):
                watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
                           for _ in range(8)]
                assert all(next(watch) for watch in watches)
                for watch in watches:
                    watch.cancel()
                server.set(turn % 2 == 0)

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(tell_leavers).result(60.0)
        finally:
            server.stop()


def _can_watch(stub):
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
    try:
        return next(watch).status == health_pb2.HealthCheckResponse.SERVING
    except grpc.RpcError:
        return False
    finally:
        watch.cancel()


@pytest.mark.parametrize('garbage', [
    b'GET / HTTP/1.1\r\n\r\n', bytes(range(256)) * 64,
    b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\xff' * 5000])
def test_garbage_on_the_port_disturbs_nobody(port, garbage):
    server = HealthServer(port)
    server.start()
    server.set(True)
    try:
        for _ in range(20):
            with socket.create_connection(('127.0.0.1', port), timeout=5) as client:
                client.sendall(garbage)
        assert check(port, 10.0) is HealthState.SERVING
    finally:
        server.stop()
