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
from va_common.model_catalogue import model_path, models_dir
from va_common.ros_time import to_msg, to_seconds
from va_common.settings import SettingValue
from va_interfaces.msg import AudioChunk, Wake
from va_kwd.detector import Detection, Detector
from va_kwd.events_api import WakeEvent, WakeEvents
from va_kwd.scoring_queue import Chunk, ScoringQueue
from va_kwd.wake_engine import WakeEngine, WakeScorer, WARM_UP_FRAMES
from va_kwd.wake_words import parse_wake_words, WakeWord

CATALOGUE_ID = 'openwakeword'
STALL_S = 3.0
HANG_S = 2.0
_STALL_STEPS_S = (STALL_S, 10.0, 60.0, 600.0, 3600.0)
QUEUE_CHUNKS = 25
"""2 s of sound; what is older is no longer worth a wake."""
_SLOW_LOG_S = 10.0


class KwdNode(AssistantNode):
    """Scores ``stt/audio`` all the time while active and publishes ``kwd/wake``."""

    warm_up_frames = WARM_UP_FRAMES + 1
    """With fewer scored since it was activated, no wake word can be heard yet."""

    def __init__(self, chance: random.Random | None = None, **kwargs: Any) -> None:
        self._chance = chance or random.Random()
        self._detector: Detector | None = None
        self._queue: ScoringQueue | None = None
        self._events = WakeEvents((), self._chance)
        self._entities: list[tuple[Any, Any]] = []
        self._scoring_error: str | None = None
        self._frames_before = 0
        self._refused_logged_s = -_SLOW_LOG_S
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
        self._queue = ScoringQueue(self._score, self._scoring_failed, QUEUE_CHUNKS)
        self._wakes = self.create_publisher(Wake, 'kwd/wake', qos.EVENTS)
        self._entities = [
            (self.destroy_publisher, self._wakes),
            (self.destroy_subscription, self.create_subscription(
                AudioChunk, 'stt/audio', self._on_audio, qos.AUDIO)),
        ]
        self.log.info('listening for', words=','.join(word.name for word in words))

    def make_engine(self, words: tuple[WakeWord, ...]) -> WakeScorer:
        """Load the models of the wake words."""
        root = models_dir(self.setting('system.models_dir'))
        return WakeEngine(
            words, model_path(CATALOGUE_ID, 'melspectrogram.onnx', root=root),
            model_path(CATALOGUE_ID, 'embedding_model.onnx', root=root))

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

    def do_cleanup(self) -> None:
        """Let go of the models, the thread and the topics."""
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)
        queue, self._queue = self._queue, None
        self._detector = None
        if queue is not None:
            queue.stop()

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
        """Threshold, cooldown and phrases take effect with the next frame."""
        detector = self._detector
        if key == 'yes_phrases':
            self._events.yes_phrases = self.setting('yes_phrases')
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
            self._refuse(error)
            return
        self.progress.advance('chunks')
        queue.put((samples, message.sequence, to_seconds(message.header.stamp)))

    def _refuse(self, error: AssistantError) -> None:
        self.progress.advance('refused')
        now_s = time.monotonic()
        if now_s - self._refused_logged_s >= _SLOW_LOG_S:
            self._refused_logged_s = now_s
            self.log.warning(error.message)

    def _score(self, chunk: Chunk) -> None:
        detector = self._detector
        if detector is None or not self.is_active:
            return
        detections = detector.process(*chunk)
        self._scoring_error = None
        self.progress.advance('frames')
        self.look_again()
        for detection in detections:
            self._wake(detection)

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
