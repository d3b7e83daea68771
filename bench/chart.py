# SPDX-License-Identifier: Apache-2.0
"""``scorecard.png``: voice to voice of all systems, and every figure beside its target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hearing.picture import draw_rows
from targets import Card, HEARING, SPEED

MODES = {
    'fixed': 'the assistant, 2 s of silence', 'smart': 'the assistant, smart endpointing',
    'baseline': 'one step after another, same models, 2 s',
    'pipecat': 'pipecat, its own Smart Turn', 'pipecat_fixed': 'pipecat, 2 s',
}
"""Of ``./va bench voice``, for people."""
_OURS, _OTHERS = '#2a5f9e', '#9aa5b1'
_WANTED_MS = {'fixed': (2100, 2300), 'smart': (800, 1400)}


def draw(card: Card, path: Path) -> None:
    """Write it (PNG); figures that were not measured are left out."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    chart, places = pyplot.subplot_mosaic(
        [['voice', 'voice'], ['speed', 'hearing']], figsize=(17, 12),
        gridspec_kw={'height_ratios': (3, 7), 'wspace': 0.75, 'hspace': 0.25})
    _draw_voice(places['voice'], card)
    draw_rows(places['speed'], SPEED, card)
    draw_rows(places['hearing'], HEARING, card.get('hearing', {}))
    for name in ('speed', 'hearing'):
        places[name].set_title(f'{name} (black: target; green: reached; red: not reached)',
                               fontsize=10, loc='left')
    chart.savefig(path, dpi=110, bbox_inches='tight')
    pyplot.close(chart)


def _draw_voice(axis: Any, card: Card) -> None:
    part = card.get('voice_to_voice_ms', {})
    shown = [mode for mode in MODES if part.get(mode, {}).get('n')]
    for place, mode in enumerate(reversed(shown)):
        figure = part[mode]
        axis.barh(place, figure['p50'], color=_OURS if mode in _WANTED_MS else _OTHERS,
                  height=0.55)
        axis.plot([figure['p50'], figure['p95']], [place, place], color='#444444', linewidth=1.5)
        axis.plot(figure['p95'], place, '|', color='#444444', markersize=14)
        axis.plot(_WANTED_MS.get(mode, ()), [place - 0.4] * len(_WANTED_MS.get(mode, ())), '^',
                  color='black', markersize=6)
        axis.annotate(f'{figure["p50"]} / {figure["p95"]} ms, n={figure["n"]}',
                      (figure['p95'], place), (10, 0), textcoords='offset points', va='center',
                      fontsize=9)
    axis.set_yticks(range(len(shown)), [MODES[mode] for mode in reversed(shown)], fontsize=10)
    axis.margins(x=0.15)
    axis.set_xlim(left=0)
    axis.set_xlabel('voice to voice, ms: p50 (bar), p95 (mark), targets of both (triangles)')
    for side in ('top', 'right'):
        axis.spines[side].set_visible(False)
    how = next(iter(part.get('conditions', {}).values()), None)
    if how:
        axis.set_title(f'{how["machine"]}, profile {how["profile"]}, commit {how["commit"]}',
                       fontsize=10, loc='left')
