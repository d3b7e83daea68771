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
from va_stt.levels import power, ratio_db
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
SETTLED_S = 4.0
"""Sound of the speaker that AEC3 needs to know the room; measured in four simulated rooms."""
NEAR_DB = 12.0
"""While echo is heard, sound that is so much louder than what may be left of it is a person's."""
DISPUTED_DB = 12.0
"""AEC3 takes more than this: to it, the sound is echo."""
STILL_NEAR_DB = 6.0
"""The same for one who has begun."""
NEAR_HOLD_S = 0.3
ONSET_BLOCKS = 20
"""What came before that is noticed and belongs to it: 0.4 s."""
LEVEL_PULL = 0.15
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
        linear: cleans what is transcribed while a person speaks over the speaker; None: AEC3's
            sound is transcribed then, too.
    """

    def __init__(self, far_end: FarEnd, canceller: EchoCanceller, detector: VoiceDetector,
                 buffer: TimedBuffer, on_chunk: Callable[[Block], None],
                 on_frame: Callable[[VadFrame], None],
                 linear: TwoPathCanceller | None = None) -> None:
        self._linear = linear
        self._near_s = 0.0
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
        self._blocks = Reblock(BLOCK)
        self._chunks = Reblock(CHUNK)
        self._frames = Reblock(FRAME)
        self._spoken = Reblock(CHUNK)
        self._near_power = self._clean_power = 1.0
        self._echo_heard_s = 0.0

    def feed(self, block: Block) -> None:
        """Take the next block of the microphone, any length, int16, 16 kHz."""
        self._waiting.extend(self._blocks.feed(self.gaps.feed(block)))
        newest_s = block.end_s
        while self._waiting:
            first = self._waiting[0]
            if not self._far_end.covers(first.end_s) \
                    and abs(newest_s - first.end_s) < REFERENCE_WAIT_S:
                return
            count = self._blocks_at_once(first)
            if len(self._waiting) < count:
                return
            self._process(joined([self._waiting.popleft() for _ in range(count)]))

    def _blocks_at_once(self, first: Block) -> int:
        """One; while nobody speaks and nothing plays, those of a chunk: nobody waits for less."""
        if not self._detector.rests or not self._far_end.is_silent(first.start_s - ECHO_S):
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
        self._echo_heard_s = 0.0
        self._detector.reset()

    def _process(self, block: Block) -> None:
        self.meter.feed(block.samples, block.end_s)
        far = self._far_end.read(block.start_s, len(block.samples))
        clean = self._choose(
            block, Block(self._canceller.process(block.samples, far), block.start_s), far)
        self._measure(block, clean)
        for chunk in self._spoken.feed(clean):
            self._buffer.append(chunk.samples, chunk.start_s)
        for chunk in self._chunks.feed(clean):
            self._on_chunk(chunk)
        for frame in self._frames.feed(clean):
            self._on_frame(self._judge(frame))

    def _choose(self, near: Block, clean: Block, far: Int16) -> Block:
        """AEC3's sound, or what is only subtracted while a person speaks over the speaker."""
        if self._linear is None:
            return clean
        if not self._far_end.loud_since(near.end_s, ECHO_S):
            self._linear.rest()
            self._subtracted.clear()
            return clean
        subtracted = Block(self._linear.process(near.samples, far), near.start_s)
        self._subtracted.append(subtracted)
        if self._is_near(near, clean):
            if not self._near_since(near.start_s):
                self._take_back()
            self._near_s = near.end_s
        return subtracted if self._near_since(near.start_s) else clean

    def _is_near(self, near: Block, clean: Block) -> bool:
        """Whether a person speaks over the speaker in this block."""
        assert self._linear is not None
        if self._near_since(near.start_s):
            return self._linear.near_db > STILL_NEAR_DB
        taken_db = ratio_db(power(near.samples), power(clean.samples))
        if self._linear.in_doubt and taken_db > DISPUTED_DB:
            return False
        return self._linear.near_db > NEAR_DB

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
        return VadFrame(
            frame.start_s, frame.end_s, probability, echo,
            self._echo_heard_s >= SETTLED_S,
            ratio_db(self._near_power, self._clean_power) if echo else 0.0)

    def _measure(self, near: Block, clean: Block) -> None:
        self._near_power += LEVEL_PULL * (power(near.samples) - self._near_power)
        self._clean_power += LEVEL_PULL * (power(clean.samples) - self._clean_power)
        self.echo.lost(near.end_s, self.gaps.gaps, self._far_end.late_chunks)
        if not self._far_end.loud_since(near.end_s, ECHO_S):
            self.echo.silent(near.samples)
        elif self._far_end.loud_since(near.end_s, PLAYING_S):
            over = self._near_since(near.end_s)
            self.echo.sounded(near.samples, over)
            if not over:
                self._echo_heard_s += len(near.samples) / RATE
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
