# SPDX-License-Identifier: Apache-2.0
"""The wake word models rest while nothing is heard: most of the day."""

from __future__ import annotations

from va_common.audio_io import Int16
from va_common.sound_gate import SoundGate
from va_kwd.wake_engine import WakeEngine


class RestingScorer:
    """A :class:`~va_kwd.wake_engine.WakeScorer` that asks the models only when something is heard.

    What it skipped is caught up then: from the first sound of a word on, scores are those that
    they would be otherwise. Not thread-safe.
    """

    def __init__(self, engine: WakeEngine) -> None:
        self._engine = engine
        self._gate = SoundGate()

    def score(self, frame: Int16) -> dict[str, float]:
        """Scores 0..1 by wake word after one more frame; 0 while nothing is heard.

        Raises:
            AssistantError: as :meth:`WakeEngine.score`.
        """
        if self._gate.is_open(frame):
            return self._engine.score(frame)
        self._engine.skip(frame)
        return dict.fromkeys(self._engine.names, 0.0)

    def whole_phrase(self, name: str) -> float:
        """See :meth:`WakeEngine.whole_phrase`."""
        return self._engine.whole_phrase(name)

    def reset(self) -> None:
        """Forget the sound so far."""
        self._engine.reset()
        self._gate.reset()
