# SPDX-License-Identifier: Apache-2.0
"""A second look at a wake, of no particular speaker: was the whole phrase said?

openWakeWord's "hey jarvis" takes many a bare "jarvis" for its phrase. A logistic regression on
the features that the model has anyway tells them apart; it costs one dot product for frames that
would wake. ``bench/hearing/train_wake_check.py`` makes its weights. Words without weights pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from va_common.errors import AssistantError, ErrorCode

CHECKS = Path(__file__).parent / 'data'
WHOLE = 0.5
"""Probability from which the whole phrase was said."""

Float32 = npt.NDArray[np.float32]


class WakeCheck:
    """The check of one wake word.

    Args:
        path: ``.npz`` with ``weights`` float32 (n,) and ``bias``, a number.

    Raises:
        AssistantError: ENGINE_FAILED for a damaged file, naming it.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                self._weights = np.asarray(stored['weights'], np.float32)
                self._bias = float(stored['bias'])
        except (OSError, ValueError, KeyError) as error:
            message = f'{path}: no check of a wake word ({error}); install va_kwd again'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error

    def probability(self, features: Float32) -> float:
        """Probability, 0 to 1, that the whole phrase was said.

        Args:
            features: (frames, 96), what the wake word model was given.
        """
        margin = float(features_of(features) @ self._weights) + self._bias
        return float(1.0 / (1.0 + np.exp(-np.clip(margin, -50.0, 50.0))))


def features_of(features: Float32) -> Float32:
    """The features of a frame in a row, (frames * 96,)."""
    return np.ascontiguousarray(features, np.float32).ravel()


def load_check(word: str, folder: Path = CHECKS) -> WakeCheck | None:
    """The check of a wake word; None where there is none."""
    path = folder / f'{word}_check.npz'
    return WakeCheck(path) if path.is_file() else None
