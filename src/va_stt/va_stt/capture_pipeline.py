# SPDX-License-Identifier: Apache-2.0
"""Microphone → echo canceller → 80 ms chunks, buffer and voice detector. Plain logic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from va_common.audio_io import CHUNK_S, TimedBuffer
from va_common.level_meter import LevelMeter
from va_stt.blocks import Block, GapFiller, Int16, joined, MIN_GAP_S, RATE, Reblock
from va_stt.echo_canceller import EchoCanceller
from va_stt.echo_report import EchoReport
from va_stt.far_end import FarEnd
from va_stt.levels import power
from va_stt.resting_detector import RestingDetector, VoiceDetector
from va_stt.two_path import TwoPathCanceller
from va_stt.vad_finalize import VadFrame

BLOCK = 320
CHUNK = 1280
FRAME = 512
REFERENCE_WAIT_S = 0.1
"""How long a block waits for a reference that is late."""
ECHO_S = 0.5
"""How long after the speaker fell silent its echo may still be there."""
PLAYING_S = 0.1
NEAR_DB = 12.0
"""While echo is heard, sound that is so much louder than what may be left of it is a person's."""
DISPUTED_DB = 12.0
"""AEC3 takes more than this: to it, the sound is echo."""
LOST_S = (-0.3, 0.6)
"""Around the time at which the reference begins anew, after an underrun of the speaker, neither
canceller knows where the echo is."""
RETURNING_S = 3.0
RETURNING_DISPUTED_DB = 4.0
"""So long, AEC3's word counts for more: it finds the echo again before the other one does."""
STILL_NEAR_DB = 6.0
"""The same for one who has begun."""
WORSE_DB = 1.0
POWER_PULL = 0.5
"""Of the powers that are compared: they are those of about 40 ms."""
ABOVE_NOISE_DB = 9.0
"""A person is so much louder than the quietest moments of the room."""
FLOOR_RISE = 10 ** (1.0 / 500)
"""Of what counts as quiet, in each block: 1 dB a second."""
NEAR_HOLD_S = 0.3
ONSET_BLOCKS = 20
"""What came before that is noticed and belongs to it: 0.4 s."""
VOICE = 0.7
"""Probability from which a frame tells how loud people speak."""


class CapturePipeline:
    """Takes blocks of the microphone in order, gives chunks and voice frames.

    Not thread-safe: the audio thread owns it.

    Args:
        far_end: what the speaker plays.
        canceller: takes its echo out.
        detector: voice activity.
        buffer: gets the clean sound, for transcription.
        on_chunk: gets it in chunks of 80 ms.
        on_frame: gets each voice frame.
        linear: cleans what is judged while the speaker plays, and what is transcribed while a
            person speaks over it; None: AEC3's sound is taken for both, and all in it is near.
    """

    def __init__(self, far_end: FarEnd, canceller: EchoCanceller, detector: VoiceDetector,
                 buffer: TimedBuffer, on_chunk: Callable[[Block], None],
                 on_frame: Callable[[VadFrame], None],
                 linear: TwoPathCanceller | None = None) -> None:
        self._linear = linear
        self._near_s = 0.0
        self._powers = np.zeros(3)
        """Of the microphone, of AEC3's sound and of the linear canceller's, int16²."""
        self._floor_power = np.inf
        self._subtracted: deque[Block] = deque(maxlen=ONSET_BLOCKS)
        self._far_end = far_end
        self._canceller = canceller
        self._detector = RestingDetector(detector)
        self._buffer = buffer
        self._on_chunk = on_chunk
        self._on_frame = on_frame
        self.meter = LevelMeter()
        self.echo = EchoReport()
        self.gaps = GapFiller()
        self._waiting: deque[Block] = deque()
        self._newest_s = 0.0
        self._blocks = Reblock(BLOCK)
        self._chunks = Reblock(CHUNK)
        self._frames = Reblock(FRAME)
        self._spoken = Reblock(CHUNK)

    def feed(self, block: Block) -> None:
        """Take the next block of the microphone, any length, int16, 16 kHz."""
        self._waiting.extend(self._blocks.feed(self.gaps.feed(block)))
        self._newest_s = block.end_s
        while self._waiting:
            first = self._waiting[0]
            if not self._far_end.covers(first.end_s) \
                    and abs(self._newest_s - first.end_s) < REFERENCE_WAIT_S:
                return
            count = self._blocks_at_once(first)
            if len(self._waiting) < count:
                return
            self._process(joined([self._waiting.popleft() for _ in range(count)]))

    @property
    def wants_s(self) -> float:
        """Seconds of sound before which it would only wait for more; 0 to a chunk."""
        if not self._rests(self._newest_s):
            return 0.0
        return max(0, self._chunks.missing + self._blocks.missing
                   - (len(self._waiting) + 1) * BLOCK) / RATE

    def _rests(self, at_s: float) -> bool:
        """Whether nobody speaks and nothing plays."""
        return self._detector.rests and self._far_end.is_silent(at_s - ECHO_S)

    def _blocks_at_once(self, first: Block) -> int:
        """One; while it rests, those of a chunk: nobody waits for less."""
        if not self._rests(first.start_s):
            return 1
        count = self._chunks.missing // BLOCK
        last = self._waiting[min(count, len(self._waiting)) - 1]
        return count if last.end_s - first.start_s < CHUNK_S + MIN_GAP_S else 1

    def restart(self) -> None:
        """The microphone was opened again: what came before is not continued."""
        self._waiting.clear()
        for part in (self._blocks, self._chunks, self._frames, self._spoken):
            part.clear()
        self.gaps.reset()
        self._canceller.reset()
        if self._linear is not None:
            self._linear.reset()
        self._near_s = 0.0
        self._detector.reset()

    def _process(self, block: Block) -> None:
        self.meter.feed(block.samples, block.end_s)
        far = self._far_end.read(block.start_s, len(block.samples))
        suppressed = Block(self._canceller.process(block.samples, far), block.start_s)
        self._floor_power = min(self._floor_power * FLOOR_RISE, power(suppressed.samples) + 1.0)
        subtracted = self._subtract(block, far)
        clean = suppressed if subtracted is None else \
            self._choose(block, suppressed, subtracted)
        self._measure(block, suppressed)
        for chunk in self._spoken.feed(clean):
            self._buffer.append(chunk.samples, chunk.start_s)
        for chunk in self._chunks.feed(clean):
            self._on_chunk(chunk)
        # AEC3 swallows the first syllable of who speaks over the speaker; echo that is left by
        # the other one is told by its level.
        for frame in self._frames.feed(subtracted or suppressed):
            self._on_frame(self._judge(frame))

    def _subtract(self, near: Block, far: Int16) -> Block | None:
        """The sound without its echo, but for what a filter cannot tell; None: there is none."""
        if self._linear is None:
            return None
        if not self._far_end.loud_since(near.end_s, ECHO_S):
            self._linear.rest()
            self._subtracted.clear()
            self._powers[:] = 0.0
            return None
        subtracted = Block(self._linear.process(near.samples, far), near.start_s)
        self._subtracted.append(subtracted)
        return subtracted

    def _choose(self, near: Block, suppressed: Block, subtracted: Block) -> Block:
        """AEC3's sound, or what is only subtracted while a person speaks over the speaker."""
        powers = np.array([power(b.samples) for b in (near, suppressed, subtracted)])
        self._powers += POWER_PULL * (powers - self._powers)
        if self._is_near(near):
            if not self._near_since(near.start_s):
                self._take_back()
            self._near_s = near.end_s
        return subtracted if self._near_since(near.start_s) else suppressed

    def _is_near(self, near: Block) -> bool:
        """Whether a person speaks over the speaker in this block."""
        assert self._linear is not None
        heard, suppressed, subtracted = 10.0 * np.log10(self._powers + 1.0)
        if subtracted > heard + WORSE_DB:
            return False  # the echo that was expected did not come
        if subtracted < 10.0 * np.log10(self._floor_power) + ABOVE_NOISE_DB:
            return False
        begun = self._near_since(near.start_s)
        anew_s = self._far_end.anew_s(near.end_s)
        if LOST_S[0] < anew_s < LOST_S[1] and not begun:
            return False
        disputed_db = RETURNING_DISPUTED_DB if 0.0 < anew_s < RETURNING_S else DISPUTED_DB
        if heard - suppressed > disputed_db and (self._linear.in_doubt or not begun):
            return False
        return self._linear.near_db > (STILL_NEAR_DB if begun else NEAR_DB)

    def _near_since(self, at_s: float) -> bool:
        """Whether a person spoke over the speaker in the moments before."""
        return self._near_s > 0.0 and at_s - self._near_s < NEAR_HOLD_S

    def _take_back(self) -> None:
        """A person has begun to speak over the speaker: the first syllable counts, too."""
        for block in self._subtracted:
            self._buffer.overwrite(block.samples, block.start_s)
        self._spoken.overwrite(np.concatenate([b.samples for b in self._subtracted])[:-BLOCK])

    def _judge(self, frame: Block) -> VadFrame:
        echo = self._far_end.loud_since(frame.end_s, ECHO_S)
        probability = self._detector.probability(frame.samples)
        if probability > VOICE and not echo:
            self.echo.spoken(frame.samples)
        return VadFrame(frame.start_s, frame.end_s, probability, echo,
                        self._linear is None or self._near_since(frame.start_s))

    def _measure(self, near: Block, clean: Block) -> None:
        self.echo.lost(near.end_s, self.gaps.gaps, self._far_end.late_chunks)
        if not self._far_end.loud_since(near.end_s, ECHO_S):
            self.echo.silent(near.samples)
        elif self._far_end.loud_since(near.end_s, PLAYING_S):
            over = self._near_since(near.end_s)
            self.echo.sounded(near.samples, over)
            if not over:
                self.echo.played(near.samples, clean.samples)

    def warnings(self) -> list[str]:
        """What is wrong with the sound; empty when all is well."""
        return self.meter.warnings() + self.echo.warnings()

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        return {
            'level_dbfs': f'{self.meter.level_dbfs:.0f}',
            'peak_dbfs': f'{self.meter.peak_dbfs:.0f}',
            'clipped_samples': str(self.meter.clipped_samples),
            'gaps': str(self.gaps.gaps),
            'lost_s': f'{self.gaps.lost_s:.2f}',
            'late_reference_chunks': str(self._far_end.late_chunks),
            'erle_db': f'{self.echo.erle_db:.0f}',
        }
