# SPDX-License-Identifier: Apache-2.0
"""What is said between a fork server and those who let it start processes.

One message is one datagram of a ``SOCK_SEQPACKET`` pair: JSON, with file descriptors beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import json
import os
import socket
import struct

CLIENT_VARIABLE = 'VA_FORKER_FD'
"""Environment variable with the descriptor by which a process may ask for children."""
MESSAGE_BYTES = 1 << 18
"""Longest message: an environment is 4 to 100 kB."""
READY = 0
"""The ``id`` of what a fork server says unasked, once its imports are done."""
_DESCRIPTORS = 2
_STATUS = struct.Struct('i')


class ForkError(OSError):
    """A fork server does not answer, or refuses."""


@dataclass(frozen=True)
class StartRequest:
    """A process to start; its output and status descriptors come beside it."""

    module: str
    """What ``python -m`` would run."""
    arguments: list[str]
    environ: dict[str, str]
    orphan_signal: int
    """Sent to it when the one who asked for it ends."""
    may_fork: bool = False
    """Whether it becomes a client of the fork server itself."""


def encode(**values: object) -> bytes:
    """A message. Raises ForkError when it is too long.

    A question has an ``id``, which its answer repeats, and ``start`` with a
    :class:`StartRequest`, or nothing: a ping. ``end`` has no answer: main stops in order, nothing
    is left to clear up.
    """
    plain = {key: asdict(value) if isinstance(value, StartRequest) else value
             for key, value in values.items()}
    message = json.dumps(plain).encode()
    if len(message) > MESSAGE_BYTES:
        raise ForkError(f'fork server: a message of {len(message)} bytes, expected at most '
                        f'{MESSAGE_BYTES}: the environment is too large')
    return message


def decode(message: bytes) -> Mapping[str, object]:
    """A message as its values. Raises ForkError."""
    try:
        values = json.loads(message.decode())
    except ValueError as error:
        raise ForkError(f'fork server: a message that is no JSON ({error})') from error
    if not isinstance(values, dict):
        raise ForkError('fork server: a message that is no object')
    return values


def start_request(values: object) -> StartRequest:
    """The request of a message. Raises ForkError."""
    try:
        return StartRequest(**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise ForkError(f'fork server: a request that is not one ({error})') from error


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """One message and its descriptors; empty: the other side has gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, _DESCRIPTORS)
    except ConnectionError:
        return b'', []
    return message, list(descriptors)


def pack_status(code: int) -> bytes:
    """The end of a process, as of :attr:`subprocess.Popen.returncode`, for its status pipe."""
    return _STATUS.pack(code)


def read_status(descriptor: int) -> int | None:
    """Wait for the status at the end of a pipe, which is closed; None: nobody will say it."""
    with os.fdopen(descriptor, 'rb') as pipe:
        packed = pipe.read(_STATUS.size)
    return _STATUS.unpack(packed)[0] if len(packed) == _STATUS.size else None
