# SPDX-License-Identifier: Apache-2.0
"""The stages of a turn over one time axis, as text: what the user waited for and what not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from va_logger.dialog_files import Dialog

BEGUN_BY = {
    'speech_end': (),
    'endpoint_decided': ('speech_end',),
    'final_text': ('speech_end', 'endpoint_decided'),
    'first_token': ('speech_end', 'final_text'),
    'first_synthesised': ('speech_end', 'first_token'),
    'first_audio': ('speech_end', 'endpoint_decided', 'first_token', 'first_synthesised'),
    'playback_end': ('first_audio',),
}
"""Each stage of the latency record, and what it may have waited for: the latest one before it."""

SILENCE, AHEAD, WAITED, HELD, PLAYING = '-=#.>'
LEGEND = (f'  {SILENCE} waits for more words  {AHEAD} worked ahead of the endpoint  '
          f'{HELD} ready, held  {WAITED} waited for  {PLAYING} speaks')
COLUMNS = 48
_ENDPOINT = 'endpoint_decided'


def latency_lines(dialog: Dialog) -> Iterator[str]:
    """A waterfall for each turn that has a latency record."""
    found = [(record, data) for record in dialog.of_role('LATENCY')
             if isinstance(data := record.get('data'), dict)]
    if not found:
        yield f'dialog {dialog.dialog_id}: no latency record yet'
        return
    for record, data in found:
        yield f'dialog {dialog.dialog_id} turn {record.get("turn")}: {_summary(data)}'
        yield from waterfall(data)
    yield LEGEND


def waterfall(data: Mapping[str, Any]) -> Iterator[str]:
    """A line for each stage that was reached.

    Its time after the end of the speech, its own duration and its bar; a stage before
    ``endpoint_decided`` was worked out ahead. The axis ends with the first sound.

    Args:
        data: Unix seconds by stage; 0 or missing: not reached.
    """
    times = {stage: float(data[stage]) for stage in BEGUN_BY
             if isinstance(data.get(stage), (int, float)) and data[stage] > 0}
    if not times:
        return
    begin = times.get('speech_end', min(times.values()))
    last = max(at for stage, at in times.items() if stage != 'playback_end' or len(times) == 1)
    axis = _Axis(begin, max(last - begin, 1e-3))
    for stage, at in times.items():
        start = _start(stage, times, begin)
        yield (f'  {stage:<17}{(at - begin) * 1000:>8.0f} ms {(at - start) * 1000:>+8.0f} ms  '
               f'|{_bar(axis, stage, start, times)}|')


class _Axis:
    """From a time to a column."""

    def __init__(self, begin: float, span: float) -> None:
        self._begin = begin
        self._span = span

    def column(self, at: float) -> int:
        return min(COLUMNS, max(0, round((at - self._begin) / self._span * COLUMNS)))


def _summary(data: Mapping[str, Any]) -> str:
    milliseconds = data.get('voice_to_voice_ms')
    return ', '.join(part for part in (
        str(data.get('outcome', '')),
        f'voice to voice {milliseconds:.0f} ms' if milliseconds else '') if part)


def _start(stage: str, times: Mapping[str, float], begin: float) -> float:
    """When the work for a stage began: with the latest of what it waited for."""
    before = [times[name] for name in BEGUN_BY[stage] if name in times]
    return max((at for at in before if at <= times[stage]), default=min(begin, times[stage]))


def _bar(axis: _Axis, stage: str, start: float, times: Mapping[str, float]) -> str:
    cells = [' '] * COLUMNS
    at, endpoint = times[stage], times.get(_ENDPOINT, start)
    if stage == 'playback_end':
        _fill(cells, COLUMNS - 1, COLUMNS, PLAYING)
    elif stage in ('speech_end', _ENDPOINT):
        _fill(cells, axis.column(start), axis.column(at), SILENCE)
    else:
        ready = times.get('first_synthesised', start)
        if stage == 'first_audio' and ready < start:
            _fill(cells, axis.column(ready), axis.column(start), HELD)
        _fill(cells, axis.column(start), axis.column(at), WAITED)
        _fill(cells, axis.column(start), axis.column(min(at, endpoint)), AHEAD, least=0)
    return ''.join(cells)


def _fill(cells: list[str], first: int, last: int, mark: str, least: int = 1) -> None:
    """Write ``mark`` into columns, into at least so many."""
    first = min(first, COLUMNS - least)
    for column in range(first, max(last, first + least)):
        cells[column] = mark
