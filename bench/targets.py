# SPDX-License-Identifier: Apache-2.0
"""What is to be reached, read out of the scorecard; ratios count where machines differ."""

from __future__ import annotations

from typing import Any

from hearing.picture import Row
from hearing.picture import ROWS as HEARING

Card = dict[str, Any]


def _voice(mode: str, part: str) -> Any:
    return lambda card: card['voice_to_voice_ms'][mode][part]


def _gap(mode: str, part: str) -> Any:
    return lambda card: card['voice_to_voice_ms'][mode]['gap_ms'][part]


def _ratio(mode: str, other: str) -> Any:
    return lambda card: (card['voice_to_voice_ms'][mode]['p50']
                         / card['voice_to_voice_ms'][other]['p50'])


def _boot(other: str) -> Any:
    return lambda card: card['boot_ms']['phased']['p50'] / card['boot_ms'][other]['p50']


def _of(part: str, key: str) -> Any:
    return lambda card: card[part][key]


SPEED = (
    Row('voice to voice, fixed 2 s, p50', _voice('fixed', 'p50'), 2100, unit='ms'),
    Row('voice to voice, fixed 2 s, p95', _voice('fixed', 'p95'), 2300, unit='ms'),
    Row('voice to voice, smart, p50', _voice('smart', 'p50'), 800, unit='ms'),
    Row('voice to voice, smart, p95', _voice('smart', 'p95'), 1400, unit='ms'),
    Row('smart over baseline, p50', _ratio('smart', 'baseline'), 0.5),
    Row('smart over pipecat, p50', _ratio('smart', 'pipecat'), 0.6),
    Row('gap inside an answer, smart, p95', _gap('smart', 'p95'), 150, unit='ms'),
    Row('wake word to acknowledgement, p95', _of('wake_to_ack_ms', 'p95'), 500, unit='ms'),
    Row('boot phased over sequential', _boot('sequential'), 0.8),
    Row('boot phased over slowest component', _boot('slowest_component'), 1.5),
    Row('idle, of one core', _of('idle', 'cpu_core_percent'), 10, unit='%'),
    Row('idle, memory (PSS)', _of('idle', 'pss_mb'), 1200, unit='MB'),
    Row('soak, memory growth', _of('soak', 'pss_growth_mb'), 20, unit='MB'),
    Row('soak, first token, last over first tenth', _of('soak', 'first_token_growth'), 1.3),
    Row('soak, missed audio chunks', _of('soak', 'missed_audio'), 0),
    Row('second assistant, memory over the first', _of('scale', 'second_memory'), 0.6),
)
"""Of the whole scorecard."""

__all__ = ['HEARING', 'SPEED', 'Card', 'Row']
