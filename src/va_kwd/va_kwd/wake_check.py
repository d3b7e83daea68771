# SPDX-License-Identifier: Apache-2.0
"""A second look at a wake, of no particular speaker: was the whole phrase said?

openWakeWord's "hey jarvis" takes many a bare "jarvis" or "hey marvin" for its phrase. A small
network on the features that the model has anyway tells them apart; it costs one matrix product
for frames that would wake. ``bench/hearing/train_wake_check.py`` makes its weights. Words without
weights pass.
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
        path: ``.npz`` with ``hidden`` (n, h), ``hidden_bias`` (h,), ``out`` (h,) and ``bias``.

    Raises:
        AssistantError: ENGINE_FAILED for a damaged file, naming it.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                self._hidden = np.asarray(stored['hidden'], np.float32)
                self._hidden_bias = np.asarray(stored['hidden_bias'], np.float32)
                self._out = np.asarray(stored['out'], np.float32)
                self._bias = float(stored['bias'])
            self.inputs, inner = self._hidden.shape
            if self._hidden_bias.shape != (inner,) or self._out.shape != (inner,):
                raise ValueError(f'hidden_bias or out is not ({inner},)')
        except (OSError, ValueError, KeyError) as error:
            message = f'{path}: no check of a wake word ({error}); install va_kwd again'
            raise AssistantError(ErrorCode.ENGINE_FAILED, message) from error

    def probability(self, features: Float32) -> float:
        """Probability, 0 to 1, that the whole phrase was said.

        Args:
            features: (frames, 96), what the wake word model was given.
        """
        inner = np.tanh(features.ravel() @ self._hidden + self._hidden_bias)
        margin = float(inner @ self._out) + self._bias
        return float(1.0 / (1.0 + np.exp(-np.clip(margin, -50.0, 50.0))))


def load_check(word: str, inputs: int, folder: Path = CHECKS) -> WakeCheck | None:
    """The check of a wake word whose model is given ``inputs`` numbers; None where there is none.

    A model of the user's own under a known name may be given others: it goes unchecked.
    """
    path = folder / f'{word}_check.npz'
    check = WakeCheck(path) if path.is_file() else None
    return check if check is not None and check.inputs == inputs else None
