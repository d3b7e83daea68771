# SPDX-License-Identifier: Apache-2.0
"""The setting ``wake_words``: which models are heard, under which name, with which threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import re

from va_common.errors import AssistantError, ErrorCode

_VERSION = re.compile(r'_v\d+(\.\d+)*$')


@dataclass(frozen=True)
class WakeWord:
    """One wake word."""

    name: str
    """Of the model, without its version: hey_jarvis."""
    path: Path
    """Of the .onnx file."""
    threshold: float | None = None
    """Score from which it counts; None: the setting confidence_threshold."""

    @property
    def phrase(self) -> str:
        """The words that are said: ``hey jarvis``."""
        return self.name.replace('_', ' ').replace('-', ' ').strip()


def parse_wake_words(entries: Sequence[str], folder: Path) -> tuple[WakeWord, ...]:
    """Read the setting.

    Args:
        entries: a name such as ``hey_jarvis`` or a path to .onnx each, with ``:0.5`` behind it
            for an own threshold.
        folder: where the models of openWakeWord are.

    Raises:
        AssistantError: INVALID_ARGUMENT for an unknown name (the known ones are named), a
            threshold out of range, a word twice, or none at all.
    """
    words = tuple(_parse(entry.strip(), folder) for entry in entries if entry.strip())
    if not words:
        raise AssistantError(ErrorCode.INVALID_ARGUMENT,
                             'wake_words: empty; expected at least one, such as hey_jarvis')
    names = [word.name for word in words]
    for name in names:
        if names.count(name) > 1:
            message = f'wake_words: {name} is there twice; expected each word once'
            raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return words


def known_words(folder: Path) -> list[str]:
    """Names of the wake word models in a folder."""
    return sorted(_VERSION.sub('', path.stem) for path in folder.glob('*.onnx')
                  if _VERSION.search(path.stem))


def _parse(entry: str, folder: Path) -> WakeWord:
    model, colon, number = entry.rpartition(':')
    if not colon:
        model, number = entry, ''
    threshold = _threshold(entry, number) if colon else None
    if model.endswith('.onnx'):
        path = Path(model).expanduser()
        return WakeWord(_VERSION.sub('', path.stem), path, threshold)
    matches = sorted(folder.glob(f'{model}_v*.onnx')) if re.fullmatch(r'[\w-]+', model) else []
    if not matches:
        known = ', '.join(known_words(folder)) or f'none in {folder}'
        message = f'wake word {model!r}: unknown; expected one of {known}, or a path to .onnx'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return WakeWord(model, matches[-1], threshold)


def _threshold(entry: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value <= 1.0:
        message = f'wake word {entry!r}: threshold {text!r}; expected a number above 0 up to 1'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return value
