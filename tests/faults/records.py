# SPDX-License-Identifier: Apache-2.0
"""A robot program that writes records and log lines through everything that happens, and
afterwards looks for them on disk.
"""
from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
import itertools
import json
from pathlib import Path
import re
import threading
from typing import Any

from va_common.logging_client import LoggingClient

PERIOD_S = 0.2
_LINE = re.compile(r'fault record (\S+) end')


@dataclass(frozen=True)
class Found:
    """What became of the records of one case."""

    acknowledged: int
    lost: int
    duplicated: int
    disordered: int


class RecordKeeper:
    """Writes a dialog record and a line of the application log every 0.2 s until ``end``."""

    def __init__(self, node: Any, name: str) -> None:
        self._client = LoggingClient(node, 'fault_robot')
        self._dialog_id = self._client.new_dialog()
        self._name = name
        self._acknowledged: dict[str, int] = {}
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name='records', daemon=True)

    @property
    def dialog_id(self) -> str:
        return self._dialog_id

    def start(self) -> None:
        self._thread.start()

    def end(self, folder: Path, delivered_within_s: float) -> Found:
        """Stop writing, deliver what can be delivered, compare with the files in ``folder``."""
        self._stop.set()
        self._thread.join(5.0)
        delivered = self._client.flush(delivered_within_s)
        self._client.close(0.0)
        with self._lock:
            acknowledged = dict(self._acknowledged)
        lines = self._lines if delivered else []
        return compare(acknowledged, lines, read_dialog(folder, self._dialog_id),
                       read_lines(folder, self._name))

    def _write(self) -> None:
        count = 0
        while not self._stop.wait(PERIOD_S):
            count += 1
            record_id = f'{self._name}-{count}'
            future = self._client.dialog(self._dialog_id, 1, 'EVENT', 'fault record',
                                         {'number': count}, record_id=record_id)
            future.add_done_callback(
                lambda done, record_id=record_id: self._note(record_id, done))
            mark = f'{self._name}-{count}'
            self._client.app('INFO', f'fault record {mark} end')
            self._lines.append(mark)

    def _note(self, record_id: str, done: Future[int]) -> None:
        if done.cancelled() or done.exception() is not None:
            return  # refused: never promised
        with self._lock:
            self._acknowledged[record_id] = done.result()


def compare(acknowledged: dict[str, int], lines: list[str], on_disk: list[tuple[int, str]],
            logged: list[str]) -> Found:
    """Compare promises with the disk.

    ``acknowledged``: record id → number; ``lines``: log lines of which each was acknowledged;
    ``on_disk``: (number, record id) in the order of the file; ``logged``: lines in the log.
    """
    there = {record_id: number for number, record_id in on_disk}
    lost = sum(there.get(record_id) != number for record_id, number in acknowledged.items())
    lost += len(set(lines) - set(logged))
    counts = [*Counter(record_id for _, record_id in on_disk).values(), *Counter(logged).values()]
    numbers = [number for number, _ in on_disk]
    return Found(len(acknowledged) + len(lines), lost, sum(n - 1 for n in counts),
                 sum(b <= a for a, b in itertools.pairwise(numbers)))


def read_records(folder: Path, dialog_id: str) -> list[dict[str, Any]]:
    """The whole lines of a dialog's file; a torn last line is none."""
    records = []
    for path in sorted((folder / 'dialogs').glob(f'*{dialog_id}*')):
        for line in path.read_text(errors='replace').splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
    return [record for record in records if isinstance(record, dict)]


def read_dialog(folder: Path, dialog_id: str) -> list[tuple[int, str]]:
    """(number, record id) of the records in a dialog's file."""
    return [(int(record.get('sequence', -1)), str(record['record_id']))
            for record in read_records(folder, dialog_id) if record.get('record_id')]


def read_lines(folder: Path, name: str) -> list[str]:
    """The marks of one case in the application logs, rotated and last ones too."""
    text = application_log(folder)
    return [mark for mark in _LINE.findall(text) if mark.startswith(f'{name}-')]


def log_since(folder: Path, since_s: float) -> list[str]:
    """Lines of the application log that are not older than ``since_s`` (Unix seconds)."""
    found = []
    for line in application_log(folder).splitlines():
        try:
            stamp_s = datetime.fromisoformat(line.partition(' ')[0]).timestamp()
        except ValueError:
            continue  # a torn line
        if stamp_s >= since_s:
            found.append(line)
    return found


def application_log(folder: Path) -> str:
    """All of the application log that is kept."""
    return '\n'.join(path.read_text(errors='replace') for path in sorted(folder.glob('app*log*')))
