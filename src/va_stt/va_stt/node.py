# SPDX-License-Identifier: Apache-2.0
"""The ROS node: settings and lifecycle around the capture pipeline and the turn."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from va_common import qos
from va_common.audio_io import TimedBuffer
from va_common.audio_messages import from_chunk
from va_common.device_calls import DeviceRetry
from va_common.errors import AssistantError, ErrorCode
from va_common.lifecycle import AssistantNode
from va_common.ros_time import to_seconds
from va_common.sound_server import fingerprint
from va_common.worker import Worker
from va_interfaces.msg import AudioChunk, PlaybackEvent
from va_stt import engines
from va_stt.audio_source import AudioSource
from va_stt.audio_thread import AudioThread
from va_stt.blocks import RATE
from va_stt.capture_pipeline import CapturePipeline
from va_stt.control_api import ControlApi
from va_stt.end_of_turn import EndOfTurn
from va_stt.far_end import FarEnd
from va_stt.listening import Listening
from va_stt.microphone import Microphone
from va_stt.results_api import ResultsApi
from va_stt.throttle import Throttle
from va_stt.topic_source import TopicSource
from va_stt.whisper_cuda import Transcription

BUFFER_S = 10.0
TRANSCRIBE_STUCK_S = 30.0
STALL_S = 4.5
"""The microphone tells of its own silence before."""
STAMP_RANGE_S = 10.0


class SttNode(AssistantNode):
    """Owns the microphone; publishes clean sound and transcripts.

    Args:
        transcriber: makes the recogniser from (setting, profile); a test passes its own.
        arguments: of :class:`~va_common.lifecycle.AssistantNode`.
    """

    def __init__(self, transcriber: Callable[..., Any] = engines.load_whisper,
                 **arguments: Any) -> None:
        super().__init__('stt', section='stt', shared=('system', 'audio'), **arguments)
        self._make_transcriber = transcriber
        self._audio: AudioThread | None = None
        self._source: AudioSource | None = None
        self._listening: Listening | None = None
        self._pipeline: CapturePipeline | None = None
        self._workers: list[Worker] = []
        self._transcribing_since: float | None = None
        self._smart_lock = threading.Lock()
        self._smart: EndOfTurn | None = None
        self._far_end = FarEnd()
        self._reference_number = 0
        self._topic: TopicSource | None = None
        self._refusals = Throttle(5.0)
        self._results = ResultsApi(self)
        self._control = ControlApi(self, self._require_listening, self._results.publish_event)
        self.create_subscription(
            AudioChunk, 'tts/reference', self._on_reference, qos.AUDIO,
            callback_group=MutuallyExclusiveCallbackGroup())
        self.create_subscription(
            PlaybackEvent, 'tts/playback', self._on_playback, qos.EVENTS,
            callback_group=MutuallyExclusiveCallbackGroup())
        if self.setting('audio.audio_source') == 'topic':
            self.create_subscription(
                AudioChunk, 'audio/microphone', self._on_microphone, qos.AUDIO,
                callback_group=MutuallyExclusiveCallbackGroup())

    # Lifecycle --------------------------------------------------------------------------------

    def engine_modules(self) -> tuple[str, ...]:
        """See :meth:`AssistantNode.engine_modules`; without PortAudio, which opens devices."""
        return ('onnxruntime', 'faster_whisper',
                *(('pywebrtc_audio',) if self.setting('aec_enabled') else ()))

    def do_configure(self) -> None:
        """Load the models and open the microphone."""
        self._source = self._make_source()
        self._source.open()
        detector = engines.load_vad(self.setting)
        canceller = engines.load_canceller(self.setting)
        self._recogniser = self._make_transcriber(self.setting, self.profile)
        if self.setting('endpointing') == 'smart':
            self._end_of_turn()
        buffer = TimedBuffer(BUFFER_S + self.setting('max_utterance_ms') / 1000)
        speech_worker, judge_worker = Worker('stt-transcribe', 8), Worker('stt-judge', 2)
        self._workers = [speech_worker, judge_worker]
        self._listening = Listening(buffer.read, self._transcribe, speech_worker.submit,
                                    self._judge, judge_worker.submit)
        self._pipeline = CapturePipeline(
            self._far_end, canceller, detector, buffer, self._results.publish_chunk,
            self._listening.on_frame, engines.load_linear(self.setting))
        self._audio = AudioThread(
            self._source, self._pipeline, on_advance=self._on_advance, on_lost=self._on_lost,
            on_back=self._on_back, retry=DeviceRetry(hint=fingerprint))

    def do_activate(self) -> None:
        """Let the sound flow."""
        if self._audio is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, 'stt is not configured')
        self._far_end.clear()
        self.progress.restart('samples')
        self._audio.start()

    def do_deactivate(self) -> None:
        """Stop the sound; the turn in progress ends as stopped."""
        if self._listening is not None:
            self._listening.stop('', 0, 'the node is deactivated')
        if self._audio is not None:
            self._audio.stop()

    def do_cleanup(self) -> None:
        """Close the microphone, end the workers, drop the models."""
        audio, self._audio = self._audio, None
        source, self._source = self._source, None
        workers, self._workers = self._workers, []
        self._topic = self._listening = self._pipeline = None
        self._recogniser = self._smart = None
        if audio is not None:
            audio.stop()
        if source is not None:
            source.close()
        for worker in workers:
            worker.stop()

    def close(self, end_spinning: Callable[[], None] = lambda: None) -> None:
        """End the node; idempotent."""
        self._control.close()
        super().close(end_spinning)

    def on_setting(self, key: str, value: Any) -> None:
        """Load the end-of-turn model when it is asked for while running."""
        if key == 'endpointing' and value == 'smart' and self._listening is not None:
            self._end_of_turn()

    # Health -----------------------------------------------------------------------------------

    def health_problem(self) -> str | None:
        """No sound, or a transcription that does not end."""
        if self._audio is None:
            return 'not configured'
        since = self._transcribing_since
        if since is not None and time.monotonic() - since > TRANSCRIBE_STUCK_S:
            return f'a transcription runs for more than {TRANSCRIBE_STUCK_S:g} s'
        if self._audio.problem is not None:
            return self._audio.problem
        if self.progress.stalled('samples', STALL_S):
            return f'no sound from the microphone for {STALL_S:g} s'
        return None

    def waits_for_device(self) -> bool:
        """The microphone is opened again for as long as it takes."""
        return self._audio is not None and self._audio.waits_for_device

    def diagnostics(self) -> dict[str, str]:
        """Level, losses, echo, engines."""
        values = {'profile': f'{self.profile.name} ({self.profile.reason})'}
        if self._source is not None:
            values.update(self._source.diagnostics())
        if self._audio is not None:
            values.update(self._audio.diagnostics())
        if self._pipeline is not None:
            values.update(self._pipeline.diagnostics())
        return values

    def warnings(self) -> list[str]:
        """What is wrong with the sound."""
        source, pipeline = self._source, self._pipeline
        if source is None or pipeline is None or not self.is_active:
            return []
        return source.warnings() + pipeline.warnings()

    # Sound ------------------------------------------------------------------------------------

    def _make_source(self) -> AudioSource:
        if self.setting('audio.audio_source') == 'topic':
            self._topic = TopicSource()
            return self._topic
        return Microphone(self.setting('audio.input_device'), self.setting('audio.input_rate'))

    def _on_advance(self, samples: int) -> None:
        self.progress.advance('samples', samples)
        self.look_again()

    def _on_lost(self, error: AssistantError) -> None:
        if self._listening is not None:
            self._listening.fail(error)

    def _on_back(self) -> None:
        self.log.info('the microphone gives sound again')

    def _on_reference(self, message: AudioChunk) -> None:
        if not self.is_active:
            return
        try:
            samples = from_chunk(message)
            if message.sample_rate != RATE:
                raise AssistantError(
                    ErrorCode.INVALID_ARGUMENT,
                    f'tts/reference: sample_rate {message.sample_rate}, expected {RATE}')
            anew = message.sequence not in (0, self._reference_number + 1)
            self._reference_number = message.sequence
            self._far_end.add(samples, self._stamp_of(message, 'tts/reference'), anew)
        except AssistantError as error:
            self._refuse(error)

    def _on_playback(self, event: PlaybackEvent) -> None:
        """Whoever speaks must tell the echo canceller what."""
        pipeline = self._pipeline
        if pipeline is None or not self.is_active:
            return
        if event.kind == PlaybackEvent.STARTED:
            pipeline.echo.playback_began(self._far_end.chunks)
        elif event.kind in (PlaybackEvent.FINISHED, PlaybackEvent.INTERRUPTED):
            pipeline.echo.playback_ended(event.position_s, self._far_end.chunks)

    def _on_microphone(self, message: AudioChunk) -> None:
        topic = self._topic
        if topic is None or not self.is_active:
            return
        try:
            samples = from_chunk(message)
            start_s = self._stamp_of(message, 'audio/microphone')
        except AssistantError as error:
            self._refuse(error)
            return
        topic.offer(samples, message.sample_rate, start_s, message.sequence)

    def _stamp_of(self, message: AudioChunk, topic: str) -> float:
        stamp_s, now_s = to_seconds(message.header.stamp), time.time()
        if abs(stamp_s - now_s) > STAMP_RANGE_S:
            raise AssistantError(
                ErrorCode.INVALID_ARGUMENT,
                f'{topic}: stamp {stamp_s - now_s:+.1f} s from now, expected within '
                f'{STAMP_RANGE_S:g} s: are the clocks of both computers set?')
        return stamp_s

    def _refuse(self, error: AssistantError) -> None:
        count = self._refusals.passes()
        if count is not None:
            self.log.warning(error.message, times=count)

    # Engines ----------------------------------------------------------------------------------

    def _require_listening(self) -> Listening:
        self.require_active()
        if self._listening is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, 'stt is not configured')
        return self._listening

    def _transcribe(self, samples: Any, quick: bool = False) -> Transcription:
        """Run in the transcription worker."""
        self._transcribing_since = time.monotonic()
        try:
            heard: Transcription = self._recogniser.transcribe(samples, quick)
        finally:
            self._transcribing_since = None
        self.progress.advance('transcriptions')
        return heard

    def _judge(self, samples: Any) -> float:
        """Run in the worker of the end-of-turn model."""
        return self._end_of_turn().probability(samples)

    def _end_of_turn(self) -> EndOfTurn:
        with self._smart_lock:
            if self._smart is None:
                self._smart = engines.load_end_of_turn(self.setting)
            return self._smart
