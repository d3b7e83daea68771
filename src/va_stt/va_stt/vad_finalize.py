# SPDX-License-Identifier: Apache-2.0
"""From voice probabilities to speech and its end, counted in seconds of audio, not of a clock."""

from __future__ import annotations

from dataclasses import dataclass

ONSET_S = 0.12
"""Voice that starts a turn: a short "no" has 0.2 s, a click or a cough's attack less."""
ECHO_ONSET_S = 0.28
"""The same while the assistant itself speaks: what is left of its echo comes in shorter bursts."""
ALARM_THRESHOLD = 0.3
"""Where words must confirm that somebody speaks over the assistant: it is held meanwhile and goes
on if none do, so that less will do. In six rooms, 20 to 300 ms delay and 200 ppm drift, 162 of 164
people were told, half of them after 0.10 s and 95 % after 0.29 s, and nothing in 13 minutes of the
assistant's own voice; without :attr:`VadFrame.near` it was 22 times."""
ALARM_EVIDENCE = 0.7
"""Sum of the probabilities of successive frames."""
JOINED_ONSET_S = 0.2
"""The same for voice that runs on from before: the wake word itself may end 0.24 s after kwd says
(measured there, worst case), and must not pass for a question in one breath."""
RESUME_S = 0.09
"""Voice after a pause that means the user goes on."""
BREAK_S = 0.1
"""Silence that ends a run of voice before it has become speech."""
EARLY_S = 0.16
SMART_EARLY_S = 0.09
"""Three frames. The voice detector still hears the room for about 0.1 s after the voice, so that
gaps within words do not reach it: 5 gaps in 24 sentences did, all of 128 ms and more."""
KEPT_S = 0.1
"""Of a pause, at each side, where it is shortened."""
HYSTERESIS = 0.15
MANY_WORDS = 7
"""Who has said so many and could stop there has mostly said all: of 223 sentences with a pause in
them 209 are as long, but only 8 of the 122 beginnings that could stand alone."""


@dataclass(frozen=True)
class VadFrame:
    """32 ms of the microphone, as judged."""

    start_s: float
    """Unix seconds."""
    end_s: float
    probability: float
    """0 to 1: voice."""
    echo: bool = False
    """Whether the speaker played within the last moments."""
    near: bool = True
    """Whether there is more in it than echo; meant only where ``echo`` is set."""


class VoicedFrames:
    """Decides frame by frame what is a person's voice: a threshold with hysteresis.

    Args:
        threshold: probability.
        confirmed_later: easier during echo until a person is known to speak.
    """

    def __init__(self, threshold: float, confirmed_later: bool = False) -> None:
        self.threshold = threshold
        self._confirmed_later = confirmed_later
        self._voiced = False

    def judge(self, frame: VadFrame, speaking: bool = False) -> bool:
        """Whether the frame is voice of a person in the room.

        Args:
            frame: the next frame.
            speaking: a person is known to speak: it need not be confirmed any more.
        """
        threshold = self.threshold - HYSTERESIS * self._voiced
        if self._confirmed_later and frame.echo and not speaking:
            threshold = ALARM_THRESHOLD
        self._voiced = frame.probability >= threshold and (frame.near or not frame.echo)
        return self._voiced


class Onset:
    """Finds where speech begins: enough voice after ``count_from_s``, with no longer break.

    Args:
        count_from_s: voice before this belongs to something else (the wake word), but a run of
            voice that reaches across it is remembered as begun there.
        confirmed_later: an onset is only an alarm, so little voice is enough.
    """

    def __init__(self, count_from_s: float, confirmed_later: bool = False) -> None:
        self._count_from_s = count_from_s
        self._confirmed_later = confirmed_later
        self.previous_end_s = 0.0
        """Where the run of voice before the present one ended; 0: there was none."""
        self._clear()

    def _clear(self) -> None:
        self.run_start_s: float | None = None
        """Where the present run of voice began, however early."""
        self.voiced_s = 0.0
        """How much of it counts."""
        self.evidence = 0.0
        """Sum of the probabilities of the frames that count."""
        self.voiced_end_s = 0.0
        self._needed_s = ONSET_S

    def joined_to(self, end_s: float, within_s: float) -> bool:
        """Whether the present run follows what ended about ``end_s`` within ``within_s``."""
        if self.run_start_s is None:
            return False
        return self.run_start_s < end_s or (
            self.previous_end_s > 0.0 and self.run_start_s - self.previous_end_s < within_s)

    @property
    def in_progress(self) -> bool:
        """Whether voice that counts has begun, but not enough yet."""
        return self.voiced_s > 0.0

    def feed(self, frame: VadFrame, voiced: bool) -> bool:
        """Take a frame; True: speech began at ``run_start_s``."""
        if voiced:
            if self.run_start_s is None:
                self.run_start_s = frame.start_s
            if frame.start_s >= self._count_from_s:
                self.voiced_s += frame.end_s - frame.start_s
                self.evidence += frame.probability
                joined = self.run_start_s < self._count_from_s
                self._needed_s = max(self._needed_s, self._needed(frame, joined))
            self.voiced_end_s = frame.end_s
        elif self.run_start_s is not None and frame.end_s - self.voiced_end_s > BREAK_S:
            self.previous_end_s = self.voiced_end_s
            self._clear()
        if self._confirmed_later and frame.echo:
            return self.evidence >= ALARM_EVIDENCE
        return self.voiced_s >= self._needed_s

    def _needed(self, frame: VadFrame, joined: bool) -> float:
        if not frame.echo:
            return JOINED_ONSET_S if joined else ONSET_S
        return ECHO_ONSET_S


@dataclass(frozen=True)
class Endpointing:
    """When a turn ends."""

    silence_s: float = 2.0
    """Silence that ends it in any case."""
    smart: bool = False
    """Whether what sounds and reads complete ends it earlier."""
    sure: float = 0.62
    """Probability of an end, by its sound, from which it is one at once after few words.

    Of 248 sentences by 24 voices, 223 of them with a pause of 0.4 to 1.5 s, this and
    ``sure_of_many`` end 67 % at once and cut off 4 %; 0.55 for both ends 58 % and cuts off 12 %.
    The price: of 25 short ones without a pause 24 % end at once, and 44 % with 0.55."""
    sure_of_many: float = 0.45
    """The same where many were said."""
    patient_s: float = 1.5
    """Silence that ends it however it sounds, if it reads like a whole sentence: few people pause
    longer within one."""
    patient_with_many_s: float = 1.0
    """The same where many were said."""

    def sure_after(self, words: int) -> float:
        """From which probability a turn of so many words that reads whole is over at once."""
        return self.sure_of_many if words >= MANY_WORDS else self.sure

    def patience_s(self, words: int) -> float:
        """Silence after which a turn of so many words that reads whole is over."""
        patient_s = self.patient_with_many_s if words >= MANY_WORDS else self.patient_s
        return min(patient_s, self.silence_s)

    @property
    def early_s(self) -> float:
        """Silence after which the turn is worked on ahead of its end."""
        return min(SMART_EARLY_S if self.smart else EARLY_S, self.silence_s)


class Stretches:
    """The sound of a turn with its long pauses shortened.

    Smart Turn takes a sentence for an unfinished one after a pause of a second within it: it tells
    108 pauses and ends apart with an area under the curve of 0.48, and 0.67 with the pause cut.

    Args:
        from_s: where the sound begins, Unix seconds.
    """

    def __init__(self, from_s: float) -> None:
        self._from_s = from_s
        self._done: list[tuple[float, float]] = []

    def skip(self, pause_from_s: float, pause_to_s: float) -> None:
        """Leave out a pause but for ``KEPT_S`` at each side."""
        from_s, to_s = pause_from_s + KEPT_S, pause_to_s - KEPT_S
        if to_s > from_s:
            self._done.append((self._from_s, from_s))
            self._from_s = to_s

    def until(self, to_s: float) -> tuple[tuple[float, float], ...]:
        """All of it up to a time, [from, to) each."""
        return (*self._done, (self._from_s, to_s))


class Pause:
    """The silence after speech: how long it is, and whether the user went on.

    Args:
        since_s: end of the last voiced frame, Unix seconds.
    """

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.silence_s = 0.0
        self._resumed_s = 0.0

    def feed(self, frame: VadFrame, voiced: bool) -> bool:
        """Take a frame; True: the user went on speaking."""
        self.silence_s = frame.end_s - self.since_s
        self._resumed_s = self._resumed_s + frame.end_s - frame.start_s if voiced else 0.0
        return self._resumed_s >= RESUME_S

    @property
    def resuming(self) -> bool:
        """Whether the last frame was voice: the end is not decided in the middle of it."""
        return self._resumed_s > 0.0
