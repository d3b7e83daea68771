# SPDX-License-Identifier: Apache-2.0
"""``hearing.png``: the figures beside what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure and its target."""

    name: str
    value: Callable[[Figures], float]
    target: float
    more_is_better: bool = False
    unit: str = ''
    raw: Callable[[Figures], float] | None = None

    def reached(self, value: float) -> bool:
        """Whether the target is met."""
        return value >= self.target if self.more_is_better else value <= self.target


def _worst_room(figures: Figures) -> float:
    return float(min(figures['erle_db'].values()))


ROWS = (
    Row('wake recall over the engine alone', lambda f: f['wake_recall'] / f['wake_recall_raw'],
        0.975, True),
    Row('wake recall at 10 dB SNR', lambda f: f['wake_recall_snr10'], 0.95, True,
        raw=lambda f: f['wake_recall_snr10_raw']),
    Row('false wakes per hour', lambda f: f['false_wakes_per_hour'], 0.2),
    Row('self-wakes of 50', lambda f: f['self_wakes'], 0, raw=lambda f: f['self_wakes_raw']),
    Row('ERLE, median of the worst room', _worst_room, 25, True, 'dB'),
    Row('word error rate', lambda f: f['wer'], 1.0, raw=lambda f: f['wer_raw']),
    Row('word errors that playback adds', lambda f: f['wer_during_playback'] - f['wer'], 0.03),
    Row('words lost in one breath', lambda f: f['one_breath_word_loss'], 0),
    Row('"Yes?" over one breath', lambda f: f['yes_spoken_over'], 0),
    Row('end of turn, fixed, p50', lambda f: f['endpoint_ms']['fixed']['p50'], 2300, unit='ms'),
    Row('end of turn, smart, p50', lambda f: f['endpoint_ms']['smart']['p50'], 500, unit='ms'),
    Row('cut off, smart', lambda f: f['false_cutoff_share']['smart'], 0.05,
        raw=lambda f: f['false_cutoff_share']['fixed']),
    Row('speaking over an answer: silent, p95', lambda f: f['barge_in_ms']['p95'], 300, unit='ms'),
    Row('answers of 40 spoken over that went on',
        lambda f: f['talkover_detail']['not_stopped'], 0),
    Row('its own speech stops it', lambda f: f['false_barge_ins']['own_speech'], 0),
    Row('coughs and knocks stop it', lambda f: f['false_barge_ins']['of_coughs_and_knocks'], 1),
    Row('underruns that stop it', lambda f: f['underruns']['stopped'], 0),
    Row('invented texts', lambda f: f['invented_texts'], 0, raw=lambda f: f['invented_texts_raw']),
)


def draw(figures: Figures, path: Path) -> None:
    """Write the picture (PNG); figures that were not measured are left out."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    chart, axis = pyplot.subplots(figsize=(11, 1.0 + 0.5 * max(1, len(measured(ROWS, figures)))))
    draw_rows(axis, ROWS, figures)
    axis.set_title(_title(figures), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    chart.savefig(path, dpi=110, bbox_inches='tight')
    pyplot.close(chart)


def measured(rows: Iterable[Row], figures: Figures) -> list[tuple[Row, float]]:
    """The rows that have a value, with it."""
    return [(row, value) for row in rows if (value := _value(row.value, figures)) is not None]


def draw_rows(axis: Any, rows: Iterable[Row], figures: Figures) -> None:
    """A bar for each row, its target a black line."""
    shown = measured(rows, figures)
    for place, (row, value) in enumerate(reversed(shown)):
        colour = '#2a7f3f' if row.reached(value) else '#b8432f'
        top = max(value, row.target, 1e-9) * 1.15
        axis.barh(place, value / top, color=colour, height=0.55)
        axis.plot([row.target / top] * 2, [place - 0.38, place + 0.38], color='black', linewidth=2)
        raw = None if row.raw is None else _value(row.raw, figures)
        text = f'{number(value)} {row.unit}'.strip()
        text += '' if raw is None else f'   (raw {number(raw)})'
        axis.text(1.02, place, text, va='center', fontsize=9)
    axis.set_yticks(range(len(shown)), [_label(row) for row, _ in reversed(shown)], fontsize=9)
    axis.set_xticks([])
    axis.set_xlim(0, 1.35)
    for side in ('top', 'right', 'bottom'):
        axis.spines[side].set_visible(False)


def number(value: float) -> str:
    """Three digits, or all of them before the point."""
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def _value(read: Callable[[Figures], float], figures: Figures) -> float | None:
    try:
        return float(read(figures))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _label(row: Row) -> str:
    sign = '≥' if row.more_is_better else '≤'
    return f'{row.name}  ({sign} {row.target:g}{" " + row.unit if row.unit else ""})'


def _title(figures: Figures) -> str:
    how = list(figures.get('conditions', {}).values())
    if not how:
        return 'hearing'
    last = how[-1]
    quick = ', quick' if any(h.get('quick') for h in how) else ''
    return (f'hearing: profile {last["profile"]}, {last["machine"]}, commit {last["commit"]}, '
            f'load {last["load_1min"]}{quick}\nblack: target; green: reached; red: not reached')
