# SPDX-License-Identifier: Apache-2.0
"""The node ``kwd``: echo-cancelled sound in, wakes out."""

from __future__ import annotations

import random
import time
from typing import Any

from va_common import qos
from va_common.audio_io import SAMPLE_RATE
from va_common.audio_messages import from_chunk
from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.lifecycle import AssistantNode
from va_common.log_places import clip_folder
from va_common.model_catalogue import model_path, models_dir
from va_common.ros_time import to_msg, to_seconds
from va_common.settings import SettingValue
from va_common.stream_subscription import StreamSubscription
from va_common.worker import Worker
from va_interfaces.msg import AudioChunk, Wake
from va_kwd.detector import Detection, Detector
from va_kwd.events_api import WakeEvent, WakeEvents
from va_kwd.resting_scorer import RestingScorer
from va_kwd.scoring_queue import Chunk, ScoringQueue
from va_kwd.wake_clips import WakeClips
from va_kwd.wake_engine import WakeEngine, WakeScorer, WARM_UP_FRAMES
from va_kwd.wake_words import parse_wake_words, WakeWord

CATALOGUE_ID = 'openwakeword'
STALL_S = 3.0
HANG_S = 2.0
_STALL_STEPS_S = (STALL_S, 10.0, 60.0, 600.0, 3600.0)
QUEUE_CHUNKS = 25
"""2 s of sound; what is older is no longer worth a wake."""
_SLOW_LOG_S = 10.0
_CLIPS_WAITING = 4


class KwdNode(AssistantNode):
    """Scores ``stt/audio`` all the time while active and publishes ``kwd/wake``."""

    warm_up_frames = WARM_UP_FRAMES + 1
    """With fewer scored since it was activated, no wake word can be heard yet."""

    def __init__(self, chance: random.Random | None = None, **kwargs: Any) -> None:
        self._chance = chance or random.Random()
        self._detector: Detector | None = None
        self._queue: ScoringQueue | None = None
        self._clips: WakeClips | None = None
        self._clip_writer: Worker | None = None
        self._events = WakeEvents((), self._chance)
        self._entities: list[tuple[Any, Any]] = []
        self._scoring_error: str | None = None
        self._frames_before = 0
        self._warned_s: dict[str, float] = {}
        # Last: with autostart, configure may begin before this returns.
        super().__init__('kwd', section='kwd', shared=('system',), **kwargs)

    # Lifecycle --------------------------------------------------------------------------------

    def engine_modules(self) -> tuple[str, ...]:
        """See :meth:`AssistantNode.engine_modules`."""
        return ('onnxruntime',)

    def do_configure(self) -> None:
        """Load the wake word models."""
        root = models_dir(self.setting('system.models_dir'))
        words = parse_wake_words(self.setting('wake_words'), model_path(CATALOGUE_ID, root=root))
        self._detector = Detector(
            self.make_engine(words), words, self.setting('confidence_threshold'),
            self.setting('cooldown_ms') / 1000.0, self.setting('second_check'))
        self._events = WakeEvents(self.setting('yes_phrases'), self._chance)
        self._clip_writer = Worker('kwd-clips', _CLIPS_WAITING)
        folder = clip_folder(self.setting('wake_clips_dir'), self.get_namespace())
        self._clips = WakeClips(folder, self._clip_writer.submit,
                                lambda why: self._warn('clips lost', why))
        self._clips.limit = self.setting('wake_clips')
        self._queue = ScoringQueue(self._score, self._scoring_failed, QUEUE_CHUNKS)
        self._wakes = self.create_publisher(Wake, 'kwd/wake', qos.EVENTS)
        self._entities = [
            (self.destroy_publisher, self._wakes),
            (StreamSubscription.close, StreamSubscription(
                self, AudioChunk, 'stt/audio', self._on_audio, qos.AUDIO, self._hearing_failed)),
        ]
        self.log.info('listening for', words=','.join(word.name for word in words))

    def make_engine(self, words: tuple[WakeWord, ...]) -> WakeScorer:
        """Load the models of the wake words."""
        root = models_dir(self.setting('system.models_dir'))
        return RestingScorer(WakeEngine(
            words, model_path(CATALOGUE_ID, 'melspectrogram.onnx', root=root),
            model_path(CATALOGUE_ID, 'embedding_model.onnx', root=root)))

    def do_activate(self) -> None:
        """Begin with an empty past: the stream from before a pause is no context."""
        assert self._detector is not None
        self._detector.reset()
        self._scoring_error = None
        self._frames_before = self._frames
        self.progress.restart('frames')
        self.progress.restart('chunks')

    def do_deactivate(self) -> None:
        """Stop scoring."""
        if self._queue is not None:
            self._queue.clear()
            self._queue.wait_idle(STALL_S)
        if self._clips is not None:
            self._clips.reset()

    def do_cleanup(self) -> None:
        """Let go of the models, the threads and the topics."""
        try:
            while self._entities:
                destroy, entity = self._entities[-1]
                destroy(entity)
                self._entities.pop()
        finally:
            self._stop_threads()

    def _stop_threads(self) -> None:
        queue, self._queue = self._queue, None
        writer, self._clip_writer = self._clip_writer, None
        self._detector = self._clips = None
        try:
            if queue is not None:
                queue.stop()
        finally:
            if writer is not None:
                writer.stop()

    def health_problem(self) -> str | None:
        """Sound that is not or cannot be scored, or none at all: that is not its own fault."""
        if self._scoring_error is not None:
            return self._scoring_error
        if self._queue is not None and self._queue.busy_s > HANG_S:
            return f'it hangs: one frame has been scored for more than {HANG_S:g} s'
        idle_s = self.progress.idle_s('chunks')
        if idle_s > STALL_S:
            # In steps: each new text is a line in the log.
            passed_s = max(step for step in _STALL_STEPS_S if step < idle_s)
            return f'no audio on stt/audio for {passed_s:g} s: stt sends none'
        if self._frames - self._frames_before < self.warm_up_frames:
            return 'it has not heard the first half second yet'
        return None

    @property
    def _frames(self) -> int:
        return self.progress.counts().get('frames', 0)

    def diagnostics(self) -> dict[str, str]:
        """Losses of the stream."""
        queue, detector = self._queue, self._detector
        return {
            'dropped chunks': str(queue.dropped if queue else 0),
            'gaps': str(detector.gaps if detector else 0),
        }

    def on_setting(self, key: str, value: SettingValue) -> None:
        """Threshold, cooldown, phrases and clips take effect with the next frame."""
        detector, clips = self._detector, self._clips
        if key == 'yes_phrases':
            self._events.yes_phrases = self.setting('yes_phrases')
        elif clips is not None and key == 'wake_clips':
            clips.limit = self.setting(key)
        elif detector is not None and key == 'confidence_threshold':
            detector.threshold = self.setting(key)
        elif detector is not None and key == 'cooldown_ms':
            detector.cooldown_s = self.setting(key) / 1000.0
        elif detector is not None and key == 'second_check':
            detector.second_check = self.setting(key)

    # Sound ------------------------------------------------------------------------------------

    def _on_audio(self, message: AudioChunk) -> None:
        queue = self._queue
        if not self.is_active or queue is None:
            return
        try:
            samples = from_chunk(message)
            _check_rate(message.sample_rate)
        except AssistantError as error:
            self._warn('refused', error.message)
            return
        self.progress.advance('chunks')
        queue.put((samples, message.sequence, to_seconds(message.header.stamp)))

    def _hearing_failed(self, raised: Exception) -> None:
        self.fail(f'stt/audio cannot be taken: {error_of(raised).message}')

    def _warn(self, count: str, message: str) -> None:
        """Count a loss; a line in the log every 10 s at most for each kind."""
        self.progress.advance(count)
        now_s = time.monotonic()
        if now_s - self._warned_s.get(count, -_SLOW_LOG_S) >= _SLOW_LOG_S:
            self._warned_s[count] = now_s
            self.log.warning(message)

    def _score(self, chunk: Chunk) -> None:
        detector, clips = self._detector, self._clips
        if detector is None or clips is None or not self.is_active:
            return
        detections = detector.process(*chunk)
        samples, _, start_s = chunk
        clips.hear(samples, start_s)
        self._scoring_error = None
        self.progress.advance('frames')
        self.look_again()
        for detection in detections:
            self._wake(detection)
            clips.keep(detection)

    def _scoring_failed(self, raised: Exception) -> None:
        error = error_of(raised)
        if self._scoring_error is None:
            self.log.error(f'scoring failed: {error.message}')
        self._scoring_error = f'scoring fails: {error.message}'

    def _wake(self, detection: Detection) -> None:
        event = self._events.event(detection)
        now_s = time.time()
        self._wakes.publish(to_wake(event, now_s))
        self.progress.advance('wakes')
        self.log.info('wake', model=event.model, score=f'{event.score:.3f}',
                      delay_ms=round((now_s - event.word_end_s) * 1000))


def to_wake(event: WakeEvent, now_s: float) -> Wake:
    """An event as a message, decided at ``now_s``."""
    message = Wake(
        source=Wake.SOURCE_WAKE_WORD, model=event.model, phrase=event.phrase,
        acknowledgement=event.acknowledgement, score=event.score,
        word_end=to_msg(event.word_end_s))
    message.header.stamp = to_msg(now_s)
    return message


def _check_rate(rate: int) -> None:
    if rate != SAMPLE_RATE:
        message = f'AudioChunk refused: sample_rate {rate}, expected {SAMPLE_RATE} on stt/audio'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
