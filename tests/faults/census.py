# SPDX-License-Identifier: Apache-2.0
"""The processes of one assistant: what is left of them, and what shared memory they used."""
from __future__ import annotations

from pathlib import Path
import re

import psutil
from virtual_room.product import Product

from va_loader.procfs import descendants

_SEGMENT = re.compile(r'/dev/shm/((?:sem\.)?fast\w+)')


class Census:
    """Remembers everything seen of one assistant, so that orphans are found by their pids."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._seen: set[psutil.Process] = set()
        self._segments: set[str] = set()

    def take(self) -> list[psutil.Process]:
        """The processes that live now; they and the segments that they map are remembered."""
        found = set(self._product.processes())
        if self._product.running and self._product.process is not None:
            found |= {p for pid in descendants(self._product.process.pid)
                      if (p := _process(pid)) is not None}
        self._seen |= found
        for process in found:
            self._segments |= mapped_segments(process.pid)
        return [process for process in found if _lives(process)]

    def left_processes(self, timeout_s: float = 3.0) -> list[str]:
        """What still runs after the end."""
        _, alive = psutil.wait_procs(self._seen | set(self._product.processes()), timeout_s)
        return [f'{_title(process)} ({process.pid})' for process in alive if _lives(process)]

    def used_segments(self) -> list[str]:
        """DDS segments that they ever mapped: expected none, for a killed process leaves them."""
        return [f'shared memory {name}' for name in sorted(self._segments)]


def mapped_segments(pid: int) -> set[str]:
    """Names of the DDS segments that a process maps; none when it is gone."""
    try:
        maps = Path(f'/proc/{pid}/maps').read_text(errors='replace')
    except OSError:
        return set()
    return {found[1] for line in maps.splitlines() if (found := _SEGMENT.search(line))}


def process_of_port(port: int) -> psutil.Process | None:
    """Whose process listens on a port of this host; None when nobody does."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in psutil.process_iter():
        try:
            links = {str(link.readlink()) for link in Path(f'/proc/{process.pid}/fd').iterdir()}
        except OSError:
            continue  # it ended while we looked
        if any(f'socket:[{inode}]' in links for inode in inodes):
            return process
    return None


def _listening_inodes(port: int) -> set[str]:
    listening = '0A'
    inodes = set()
    for table in ('tcp', 'tcp6'):
        for line in Path(f'/proc/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(':')[2], 16) == port and fields[3] == listening:
                inodes.add(fields[9])
    return inodes


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _title(process: psutil.Process) -> str:
    return ' '.join(command_of(process)[-3:]) or 'process'
