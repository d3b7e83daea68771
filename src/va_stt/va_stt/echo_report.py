# SPDX-License-Identifier: Apache-2.0
"""What is wrong between the speaker and the microphone, for the diagnostics."""

from __future__ import annotations

from va_stt.blocks import Int16, RATE
from va_stt.levels import FULL_SCALE, power, ratio_db

PULL = 0.02
SURE_S = 5.0
"""Of the speaker's sound, before anything is said about it."""
UNHEARD_DB = 3.0
"""Above the background of the room, at least, an echo is heard."""
CREEP = 1.05
"""How the quietest moment of the background is forgotten, per second: in some ten seconds."""
TOO_LOUD_DBFS = -15.0
VOICE_SURE_S = 2.0
LOUDER_DB = 3.0
"""A speaker so much louder than people costs one in five of the words spoken over it."""
LEFT_DB = 6.0
OVER_PULL = 0.002
OVER_SHARE = 0.5
OVER_SURE_S = 10.0
RECENT_S = 60.0
STUTTERS = 5
LATE_CHUNKS = 20
"""Of 750 in a minute of speech."""
UNANNOUNCED_S = 1.0
"""Tts announces a sound before it is heard; shorter ones are not looked at."""


class _Recent:
    """How much a counter has grown within the last minute."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._total = 0

    def update(self, now_s: float, total: int) -> None:
        self._times += [now_s] * min(1000, total - self._total)
        self._total = total
        self._times = [at_s for at_s in self._times[-1000:] if now_s - at_s < RECENT_S]

    @property
    def count(self) -> int:
        return len(self._times)


class EchoReport:
    """Follows the levels while the speaker plays and nobody else speaks."""

    def __init__(self) -> None:
        self._played_s = self._voice_s = 0.0
        self._echo = self._left = self._voice = 0.0
        self._over_s = self._over = 0.0
        self._background: float | None = None
        self.erle_db = 0.0
        """Echo return loss enhancement while the speaker last played, in dB."""
        self._gaps, self._late = _Recent(), _Recent()
        self._chunks_before: int | None = None
        self._unannounced = False

    def silent(self, near: Int16) -> None:
        """A block in which the speaker was not heard."""
        now = power(near)
        creep = CREEP ** (len(near) / RATE)
        self._background = now if self._background is None else min(creep * self._background, now)

    def spoken(self, near: Int16) -> None:
        """A block in which somebody spoke while the speaker was silent."""
        self._voice_s += len(near) / RATE
        self._voice += _pull(near, self._voice_s) * (power(near) - self._voice)

    def sounded(self, near: Int16, over: bool) -> None:
        """A block in which the speaker plays; ``over``: something else is heard as well."""
        self._over_s += len(near) / RATE
        self._over += max(OVER_PULL, len(near) / RATE / self._over_s) * (over - self._over)

    def played(self, near: Int16, clean: Int16) -> None:
        """A block in which the speaker was heard, and nobody spoke over it."""
        self._played_s += len(near) / RATE
        pull = _pull(near, self._played_s)
        self._echo += pull * (power(near) - self._echo)
        self._left += pull * (power(clean) - self._left)
        self.erle_db = ratio_db(self._echo, self._left)

    def lost(self, now_s: float, gaps: int, late_chunks: int) -> None:
        """How often the microphone has stuttered and the reference been late so far."""
        self._gaps.update(now_s, gaps)
        self._late.update(now_s, late_chunks)

    def playback_began(self, chunks: int) -> None:
        """Tts says that it speaks; so many chunks of the reference have come so far."""
        self._chunks_before = chunks

    def playback_ended(self, length_s: float, chunks: int) -> None:
        """Tts says that it spoke for so long: was the echo canceller told what?"""
        before, self._chunks_before = self._chunks_before, None
        if before is not None and length_s > UNANNOUNCED_S:
            self._unannounced = chunks == before

    def warnings(self) -> list[str]:
        """What a person should look at; empty when all is well."""
        found = []
        if self._gaps.count >= STUTTERS:
            found.append(f'the microphone stutters: {self._gaps.count} gaps in the last minute; '
                         'is the computer overloaded, or a USB device failing?')
        if self._late.count >= LATE_CHUNKS:
            found.append(f'what the speaker plays is told too late ({self._late.count} chunks of '
                         'tts/reference in the last minute): is the computer overloaded?')
        if self._unannounced:
            found.append('tts speaks, but its sound does not come on tts/reference: the assistant '
                         'hears itself; restart it')
        return found + self._echo_warnings()

    def _echo_warnings(self) -> list[str]:
        if self._over_s > OVER_SURE_S and self._over > OVER_SHARE:
            return ['whenever the speaker plays, other sound is heard, too: does another device '
                    'play, or an effect change the sound?']
        if self._played_s < SURE_S:
            return []
        echo_dbfs = ratio_db(self._echo, FULL_SCALE)
        if self._background is not None and ratio_db(self._echo, self._background) < UNHEARD_DB:
            return ['the speaker is not heard by the microphone: muted, or headphones?']
        if echo_dbfs > TOO_LOUD_DBFS:
            return [f'the speaker is very loud in the microphone ({echo_dbfs:.0f} dBFS): '
                    'turn it down, or move them apart']
        louder_db = ratio_db(self._echo, self._voice)
        if self._voice_s > VOICE_SURE_S and louder_db > LOUDER_DB:
            return [f'the speaker is {louder_db:.0f} dB louder in the microphone than who speaks '
                    'to it: words spoken over it will be missed; turn it down, or come closer']
        if self.erle_db < LEFT_DB and echo_dbfs > -45.0:
            return [f'the echo of the speaker is not taken out (ERLE {self.erle_db:.0f} dB): '
                    'does another device play, or an effect change the sound?']
        return []


def _pull(block: Int16, heard_s: float) -> float:
    """Weight of a block in a mean that is even at first and forgets later."""
    return max(PULL, len(block) / RATE / heard_s)
