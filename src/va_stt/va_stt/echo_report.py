# SPDX-License-Identifier: Apache-2.0
"""What is wrong between the speaker and the microphone, for the diagnostics."""

from __future__ import annotations

import numpy as np

from va_stt.blocks import Int16, RATE

PULL = 0.02
SURE_S = 5.0
"""Of the speaker's sound, before anything is said about it."""
UNHEARD_DB = 3.0
"""Above the background of the room, at least, an echo is heard."""
CREEP = 1.001
"""How the quietest moment of the background is forgotten, per block: in some ten seconds."""
TOO_LOUD_DBFS = -15.0
LEFT_DB = 6.0
STUTTER_S = 60.0
STUTTERS = 5


class EchoReport:
    """Follows the levels while the speaker plays and nobody else speaks."""

    def __init__(self) -> None:
        self._played_s = 0.0
        self._echo = self._left = 0.0
        self._background: float | None = None
        self.erle_db = 0.0
        """Echo return loss enhancement while the speaker last played, in dB."""
        self._gaps: list[float] = []
        self._gap_count = 0

    def silent(self, near: Int16) -> None:
        """A block in which the speaker was not heard."""
        power = _power(near)
        self._background = power if self._background is None \
            else min(CREEP * self._background, power)

    def played(self, near: Int16, clean: Int16) -> None:
        """A block in which the speaker was heard, and nobody spoke over it."""
        self._played_s += len(near) / RATE
        pull = max(PULL, (len(near) / RATE) / self._played_s)
        self._echo += pull * (_power(near) - self._echo)
        self._left += pull * (_power(clean) - self._left)
        self.erle_db = _db(self._echo, self._left)

    def stuttered(self, now_s: float, gaps: int) -> None:
        """How often the microphone has stuttered so far."""
        self._gaps += [now_s] * (gaps - self._gap_count)
        self._gap_count = gaps
        self._gaps = [at_s for at_s in self._gaps[-1000:] if now_s - at_s < STUTTER_S]

    def warnings(self) -> list[str]:
        """What a person should look at; empty when all is well."""
        found = []
        if len(self._gaps) >= STUTTERS:
            found.append(f'the microphone stutters: {len(self._gaps)} gaps in the last minute; '
                         'is the computer overloaded, or a USB device failing?')
        if self._played_s < SURE_S:
            return found
        echo_dbfs = _db(self._echo, 32768.0 ** 2)
        if self._background is not None and _db(self._echo, self._background) < UNHEARD_DB:
            found.append('the speaker is not heard by the microphone: muted, or headphones?')
        elif echo_dbfs > TOO_LOUD_DBFS:
            found.append(f'the speaker is very loud in the microphone ({echo_dbfs:.0f} dBFS): '
                         'turn it down, or move them apart')
        elif self.erle_db < LEFT_DB and echo_dbfs > -45.0:
            found.append(f'the echo of the speaker is not taken out (ERLE {self.erle_db:.0f} dB): '
                         'does another device play, or an effect change the sound?')
        return found


def _power(samples: Int16) -> float:
    return float(np.mean(np.square(samples.astype(np.float32))))


def _db(power: float, reference: float) -> float:
    return float(10.0 * np.log10((power + 1e-3) / (reference + 1e-3)))
