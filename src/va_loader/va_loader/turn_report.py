# SPDX-License-Identifier: Apache-2.0
"""The stage times of one turn: the latency record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from va_common.ids import TurnKey

NOT_REACHED = 0.0


@dataclass
class StageTimes:
    """When each stage of a turn happened, Unix seconds; 0: not reached."""

    speech_end: float = NOT_REACHED
    """Last voiced sample of the user."""
    endpoint_decided: float = NOT_REACHED
    final_text: float = NOT_REACHED
    first_token: float = NOT_REACHED
    first_synthesised: float = NOT_REACHED
    """First piece of the reply ready to play."""
    first_audio: float = NOT_REACHED
    """First sample of the reply at the speaker."""
    playback_end: float = NOT_REACHED


@dataclass(frozen=True)
class TurnReport:
    """What ``/loader/turn_report`` says about one turn."""

    key: TurnKey
    outcome: str
    """answered, interrupted or failed."""
    times: StageTimes = field(default_factory=StageTimes)

    @property
    def voice_to_voice_ms(self) -> float:
        """First audible sample of the reply minus last voiced sample of the user; 0 without."""
        return _span_ms(self.times.speech_end, self.times.first_audio)

    def record(self) -> dict[str, object]:
        """The data of the dialog's LATENCY record."""
        times = self.times
        return {
            **asdict(times),
            'endpoint_ms': _span_ms(times.speech_end, times.endpoint_decided),
            'transcribe_ms': _span_ms(times.endpoint_decided, times.final_text),
            'first_token_ms': _span_ms(times.final_text, times.first_token),
            'synthesise_ms': _span_ms(times.first_token, times.first_synthesised),
            'first_audio_ms': _span_ms(times.first_token, times.first_audio),
            'voice_to_voice_ms': self.voice_to_voice_ms,
            'outcome': self.outcome,
        }


def _span_ms(start_s: float, end_s: float) -> float:
    """Milliseconds between two stages, negative when the later one was speculated; 0 without."""
    if NOT_REACHED in (start_s, end_s):
        return 0.0
    return round((end_s - start_s) * 1000, 1)
