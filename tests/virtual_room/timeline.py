# SPDX-License-Identifier: Apache-2.0
"""Draws who spoke when: both channels of the recording with what was said and what happened."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import textwrap
from typing import Any

import numpy as np

from virtual_room.hearing import RATE, read_recording

_USER, _ASSISTANT = '#1f77b4', '#2ca02c'
_STATES = {
    'booting': '#cccccc',
    'idle': '#eeeeee',
    'acknowledging': '#b7e3b0',
    'listening': '#9ecae1',
    'thinking': '#fdd49e',
    'speaking': '#a1d99b',
    'follow_up': '#c6dbef',
    'recovering': '#fcae91',
    'stopping': '#bdbdbd',
    'fatal': '#de2d26',
}


@dataclass(frozen=True)
class Span:
    """Something said, in seconds of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Mark:
    """An event, in seconds of the recording."""

    time: float
    text: str
    colour: str = 'black'


def draw(path: Path, mic_wav: Path, speaker_wav: Path, *, user: list[Span], assistant: list[Span],
         states: list[tuple[float, str]], marks: list[Mark], title: str) -> None:
    """Write ``path`` (PNG)."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    channels = read_recording(mic_wav), read_recording(speaker_wav)
    seconds = max(channel.size for channel in channels) / RATE
    # A long start-up is cut: the conversation is what matters.
    begin = max(0.0, min((s.start for s in assistant + user), default=0.0) - 8.0)
    figure, axes = pyplot.subplots(
        3, 1, sharex=True, figsize=(max(14.0, min(40.0, (seconds - begin) * 0.34)), 7.5),
        gridspec_kw={'height_ratios': (5, 5, 0.8), 'hspace': 0.08})
    _channel(axes[0], channels[0], user, _USER, 'microphone\n(user, echo, noise)')
    _channel(axes[1], channels[1], assistant, _ASSISTANT, 'speaker\n(assistant)')
    _state_strip(axes[2], states, begin, seconds)
    for mark in marks:
        for axis in axes[:2]:
            axis.axvline(mark.time, color=mark.colour, linestyle=':', linewidth=1)
        axes[0].annotate(mark.text, (mark.time, -0.97), rotation=90, fontsize=7, color=mark.colour,
                         ha='right', va='bottom')
    axes[0].set_title(title)
    axes[0].set_xlim(begin, seconds)
    axes[2].set_xlabel('seconds')
    figure.savefig(path, dpi=90, bbox_inches='tight')
    pyplot.close(figure)


def _channel(axis: Any, samples: np.ndarray, spans: list[Span], colour: str, name: str) -> None:
    step = RATE // 100
    frames = samples[:samples.size // step * step].reshape(-1, step)
    times = np.arange(len(frames)) * step / RATE
    scale = 0.55 / max(0.05, float(np.abs(frames).max(initial=0.0)))
    axis.fill_between(
        times, frames.min(axis=1) * scale, frames.max(axis=1) * scale, color='#888888', linewidth=0
    )
    for row, span in enumerate(spans):
        axis.axvspan(span.start, span.end, color=colour, alpha=0.22, linewidth=0)
        width = max(12, int((span.end - span.start) * 9))
        text = textwrap.shorten(span.text, width * 3, placeholder=' …')
        axis.text(span.start, 0.95 if row % 2 == 0 else 0.76, textwrap.fill(text, width),
                  fontsize=8, color=colour, va='top', weight='bold')
    axis.set_ylim(-1, 1)
    axis.set_yticks([])
    axis.set_ylabel(name)


def _state_strip(axis: Any, states: list[tuple[float, str]], begin: float, seconds: float) -> None:
    states = [states[k] for k in range(len(states)) if k == 0 or states[k][1] != states[k - 1][1]]
    ends = [start for start, _ in states[1:]] + [seconds]
    for (start, name), end in zip(states, ends, strict=True):
        start = max(begin, start)
        if end <= start:
            continue
        axis.axvspan(start, end, color=_STATES.get(name, '#ffffff'))
        if end - start > 0.17 * len(name):
            axis.text((start + end) / 2, 0.5, name, ha='center', va='center', fontsize=7)
    axis.set_yticks([])
    axis.set_ylabel('state', rotation=0, ha='right', va='center')
