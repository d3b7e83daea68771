# SPDX-License-Identifier: Apache-2.0
"""One assistant per namespace and set of ports."""

from __future__ import annotations

from collections.abc import Sequence
import fcntl
import json
import os
from pathlib import Path
import socket
import threading
import time

from va_common.errors import AssistantError, ErrorCode

LOCK = 'lock'


class InstanceLock:
    """Held by main for as long as it lives; the kernel lets go of it whatever ends main.

    Args:
        folder: the run folder of the namespace.

    Raises:
        AssistantError: UNAVAILABLE, another assistant holds it; DISK, no lock can be made.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AssistantError(ErrorCode.DISK, f'lock {path}: {error}') from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = running_instance(folder)
            os.close(self._file)
            raise AssistantError(
                ErrorCode.UNAVAILABLE,
                f'an assistant runs already in this namespace{_described(holder)}: stop it, or '
                f'start this one with --namespace and another port_offset') from None

    def describe(self, **facts: object) -> None:
        """Write down what runs, for the one who is refused and for the command line."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({'pid': os.getpid(), **facts}).encode(), 0)

    def release(self) -> None:
        """Let the next one start; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def running_instance(folder: Path) -> dict[str, object] | None:
    """What the running assistant wrote down; None when none runs."""
    try:
        with open(folder / LOCK, encoding='utf-8') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _facts(file.read())
    except FileNotFoundError:
        pass  # none ever ran
    return None


def last_instance(folder: Path) -> dict[str, object]:
    """What the assistant that runs, or ran last, wrote down; empty when none ever did."""
    try:
        return _facts((folder / LOCK).read_text(encoding='utf-8'))
    except OSError:
        return {}


def require_free_ports(ports: Sequence[int], patience_s: float = 2.0) -> None:
    """Wait for the ports to be free: those of a killed assistant are let go of in a moment.

    Raises:
        AssistantError: UNAVAILABLE, naming the ports that stay taken.
    """
    deadline = time.monotonic() + patience_s
    pause = threading.Event()
    while True:
        taken = [port for port in ports if not _is_free(port)]
        if not taken:
            return
        if time.monotonic() >= deadline:
            names = ', '.join(map(str, taken))
            raise AssistantError(
                ErrorCode.UNAVAILABLE,
                f'gRPC health port {names} on 127.0.0.1 is taken, expected it free: stop the '
                f'other program, or set port_offset in [system]')
        pause.wait(0.1)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def _facts(text: str) -> dict[str, object]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _described(facts: dict[str, object] | None) -> str:
    return f' (process {facts["pid"]})' if facts and 'pid' in facts else ''
