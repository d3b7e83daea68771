# SPDX-License-Identifier: Apache-2.0
"""What went wrong lately, from the logs: for ``./va status``, also when nothing runs any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
import re

from va_loader.fatal_guard import LAST_RESORT_LOG

APP_LOGS = ('app.last.log', 'app.log')
WITHIN_S = 600.0
"""What is older is no news."""
SHOWN = 5
_TAIL_BYTES = 128 * 1024
_GRAVE_WARNING = r'WARNING (?=loader: turn \d+ of \S+ failed )'
_LINE = re.compile(
    rf'(\d{{4}}-\d\d-\d\dT\S+) (?:(?:ERROR|FATAL) |{_GRAVE_WARNING})(\S.*)')


def recent(folder: Path, now_s: float, within_s: float = WITHIN_S, shown: int = SHOWN
           ) -> list[str]:
    """The latest errors, each once, oldest first: ``12 s ago: kwd is lost: killed by SIGKILL``.

    Args:
        folder: of the logs.
        now_s: Unix seconds.
        within_s: how old they may be.
        shown: how many at most.
    """
    latest: dict[str, float] = {}
    for name in (LAST_RESORT_LOG, *APP_LOGS):
        for stamp_s, text in _errors(folder / name):
            if now_s - stamp_s <= within_s:
                latest[text] = max(stamp_s, latest.get(text, 0.0))
    ordered = sorted(latest.items(), key=lambda item: item[1])
    return [f'{max(0.0, now_s - stamp_s):.0f} s ago: {text}'
            for text, stamp_s in ordered[-shown:]]


def _errors(path: Path) -> Iterator[tuple[float, str]]:
    try:
        with path.open('rb') as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode('utf-8', 'replace').splitlines()
    except OSError:
        return  # none was written, or it is not ours to read
    for line in lines:
        if match := _LINE.fullmatch(line):
            try:
                yield datetime.fromisoformat(match[1]).timestamp(), match[2]
            except ValueError:
                continue  # the first line may be torn
