# SPDX-License-Identifier: Apache-2.0
"""What a node's process prints beside its log: which of it goes to the application log.

Libraries print what they like: the same complaint a thousand times, or a text that they choke on.
The application log gets a known kind of line as it is, of an exception its type, of anything else
its length (transcripts are personal data), each of them once in a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
import re
import threading
import time

REPEAT_S = 60.0
"""A line that comes again within this time is counted, not repeated."""
KINDS = 64
"""Kinds of lines that are remembered; the one longest unseen is forgotten."""
LINE_CHARACTERS = 300

_KNOWN = re.compile(
    r'ALSA lib |Expression .+ failed in |PortAudio|Connection failure: |Stream error: '
    r'|Fatal Python error: |Current thread 0x|Thread 0x|Traceback \(most recent call last\)'
    r'|\s+File "[^"]+", line \d+|\s*\[?did not end in |did not end in |started without '
    r'|parameter refused: |gRPC health port \d+ |terminate called|Segmentation fault|Aborted'
    r'|double free|corrupted |malloc')
_EXCEPTION = re.compile(r'([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning|Exit))(:.*)?')
_NUMBER = re.compile(r'0x[0-9a-fA-F]+|\d+')


class ChildLines:
    """Passes lines on to the application log. Thread-safe.

    Args:
        write: takes (name, line).
        clock: steady seconds.
    """

    def __init__(self, write: Callable[[str, str], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def take(self, name: str, line: str) -> None:
        """A line that the process ``name`` printed."""
        text = shareable(line)
        if text is None:
            return
        with self._lock:
            again = self._count((name, _NUMBER.sub('#', text)))
        if again is not None:
            times = f' ({again} more like it before)' if again else ''
            self._write(name, f'{text}{times}')

    def _count(self, kind: tuple[str, str]) -> int | None:
        """How many of a kind were held back before this one; None: this one is held back too."""
        now_s = self._clock()
        told_s, held = self._seen.pop(kind, (float('-inf'), 0))
        tell = now_s - told_s >= REPEAT_S
        self._seen[kind] = (now_s, 0) if tell else (told_s, held + 1)
        if len(self._seen) > KINDS:
            self._seen.popitem(last=False)
        return held if tell else None


def shareable(line: str) -> str | None:
    """What of a line the application log may have; None: nothing."""
    if _KNOWN.match(line):
        return line[:LINE_CHARACTERS]
    exception = _EXCEPTION.fullmatch(line.rstrip())
    if exception is not None:
        return f'{exception[1]} (its text is on stderr)'
    if not line.strip(' \t^~'):
        return None
    return f'a line of {len(line)} characters (it is on stderr)'
