# SPDX-License-Identifier: Apache-2.0
"""The fork server: imports once what all processes need, and forks them off on request.

Started by ``main``. A process that is forked has its libraries loaded already: on two cores that
is most of the time that a start takes. Loader and nodes are its children, in sessions of their
own. It keeps no state but who asked for whom: when a client ends, its children are ended; when
``main`` ended without a word, the last one out clears up.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time

from va_loader.fork_protocol import (
    decode,
    encode,
    ForkError,
    pack_status,
    READY,
    receive,
    start_request,
    StartRequest,
)
from va_loader.forked_process import be_named, become, fork_quietly

ORPHAN_S = 10.0
"""For what a dead client left behind to end in order; then it is killed."""
Job = Callable[[], None]


class Client:
    """Who may ask for processes, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.gone = False


class Child:
    """A process that was forked and has not been reaped."""

    def __init__(self, pid: int, status: int, owner: Client, orphan_signal: int) -> None:
        self.pid = pid
        self.status = status
        self.owner = owner
        self.orphan_signal = orphan_signal

    def send(self, number: int) -> None:
        """Signal its whole group; until it is reaped the number is its own."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # all of the group have ended

    def report(self, code: int) -> None:
        """Say how it ended to whoever asked for it."""
        with os.fdopen(self.status, 'wb', buffering=0) as pipe:
            try:
                pipe.write(pack_status(code))
            except BrokenPipeError:
                return  # nobody wants to know any more


class Server:
    """Serves its clients until the last has gone and the last child has ended.

    Args:
        main: the connection to the first client.
    """

    def __init__(self, main: socket.socket) -> None:
        self._main = Client(main)
        self._clients: dict[int, Client] = {}
        self._children: dict[int, Child] = {}
        self._deadline_s: float | None = None
        self._poll = select.poll()
        self._wake, self._wake_write = os.pipe()
        for end in (self._wake, self._wake_write):
            os.set_blocking(end, False)
        self._poll.register(self._wake, select.POLLIN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._add(self._main)

    def run(self) -> Job | None:
        """Serve; in a forked process return what it is to run, in the server None at the end."""
        while self._clients or self._children:
            for descriptor, _ in self._poll.poll(self._timeout_ms()):
                client = self._clients.get(descriptor)
                if client is not None:
                    job = self._serve(client)
                    if job is not None:
                        return job
                elif descriptor == self._wake:
                    os.read(self._wake, 4096)
            self._reap()
            self._kill_late()
        return None

    def _serve(self, client: Client) -> Job | None:
        message, descriptors = receive(client.connection)
        if not message:
            self._lose(client)
            return None
        values = decode(message)
        if 'start' in values:
            number = values.get('id')
            try:
                return self._start(client, number, start_request(values['start']), descriptors)
            except OSError as error:
                self._reply(client, encode(id=number, error=str(error)))
        elif 'end' in values:
            self._forget(client)
        else:
            self._reply(client, encode(id=values.get('id')))
        return None

    def _start(self, client: Client, number: object, request: StartRequest,
               descriptors: list[int]) -> Job | None:
        if len(descriptors) != 2:
            _close(descriptors)
            raise ForkError(f'{len(descriptors)} descriptors beside a start, expected 2')
        output, status = descriptors
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) \
            if request.may_fork else ()
        server = os.getpid()
        try:
            pid = fork_quietly()
        except OSError:
            _close([*descriptors, *(end.detach() for end in ends)])
            raise
        if pid == 0:
            self._let_go()
            os.close(status)
            if ends:
                ends[0].close()
            own = ends[1].detach() if ends else None
            return lambda: become(request, output, own, server)
        os.close(output)
        self._children[pid] = Child(pid, status, client, request.orphan_signal)
        if ends:
            ends[1].close()
            self._add(Client(ends[0]))
        self._reply(client, encode(id=number, pid=pid))
        return None

    def _let_go(self) -> None:
        """In a forked process: close what is the server's."""
        signal.set_wakeup_fd(-1)
        for client in self._clients.values():
            client.connection.close()
        _close([child.status for child in self._children.values()])
        _close([self._wake, self._wake_write])
        self._clients, self._children = {}, {}

    def _add(self, client: Client) -> None:
        self._clients[client.connection.fileno()] = client
        self._poll.register(client.connection, select.POLLIN)

    def _reply(self, client: Client, message: bytes) -> None:
        try:
            client.connection.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            self._lose(client)

    def _lose(self, client: Client) -> None:
        """A client has ended: so do its children."""
        if client.gone:
            return
        self._forget(client)
        for child in self._children.values():
            if child.owner is client:
                child.send(child.orphan_signal)
                self._deadline_s = time.monotonic() + ORPHAN_S

    def _forget(self, client: Client) -> None:
        client.gone = True
        self._poll.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                child.report(os.waitstatus_to_exitcode(status))

    def _timeout_ms(self) -> float | None:
        if self._deadline_s is None:
            return None
        return max(0.0, self._deadline_s - time.monotonic()) * 1000.0 + 1.0

    def _kill_late(self) -> None:
        """End by force what outlives a client that is gone, and everything after main."""
        if self._deadline_s is None or time.monotonic() < self._deadline_s:
            return
        self._deadline_s = None
        for child in self._children.values():
            if child.owner.gone or self._main.gone:
                child.send(signal.SIGKILL)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def preload(names: Sequence[str]) -> None:
    """Import; what cannot be is left to the process that needs it, which says so itself.

    Args:
        names: of modules, or ``module:function`` to call that as well.
    """
    # One thread: what is forked later must not depend on threads that exist here only.
    pools = {name: os.environ.get(name) for name in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS')}
    os.environ.update(dict.fromkeys(pools, '1'))
    for name in names:
        try:
            module, _, function = name.partition(':')
            loaded = importlib.import_module(module)
            if function:
                getattr(loaded, function)()
        except Exception as error:
            print(f'fork server: {name} is not loaded ahead: {error}', file=sys.stderr)
    for name, value in pools.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def serve(descriptor: int, modules: Sequence[str]) -> Job | None:
    """Import, say so, and serve; what :meth:`Server.run` returns."""
    # Both reach every process of a service when it is stopped: main ends this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    be_named([sys.executable, '-m', 'va_loader.forker'])
    preload(modules)
    # Forked processes share these pages as long as nobody writes into them.
    gc.collect()
    gc.freeze()
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    server = Server(connection)
    try:
        connection.send(encode(id=READY), socket.MSG_NOSIGNAL)
    except OSError:
        return None  # main has gone meanwhile
    return server.run()


def main(argv: list[str] | None = None) -> int:
    """Run the fork server until main ends; in a forked process, run that."""
    parser = argparse.ArgumentParser(prog='forker', description='Forks the other processes.')
    parser.add_argument('--fd', type=int, required=True, help='the connection to main')
    parser.add_argument('--room', default='', help='place for longer names in the process table')
    parser.add_argument('modules', nargs='*', help='what to import before anything is forked')
    given = parser.parse_args(sys.argv[1:] if argv is None else argv)
    job = serve(given.fd, given.modules)
    if job is not None:
        job()
    return 0


if __name__ == '__main__':
    sys.exit(main())
