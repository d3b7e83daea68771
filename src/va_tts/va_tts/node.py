# SPDX-License-Identifier: Apache-2.0
"""The node /tts: ROS on one side, the queue of utterances and the speaker on the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
import itertools
from pathlib import Path
import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.parameter import Parameter

from va_common import qos
from va_common.audio_io import Int16, SAMPLE_RATE
from va_common.audio_messages import to_chunk
from va_common.cache_folder import cache_folder
from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.lifecycle import AssistantNode
from va_common.model_catalogue import sha256_of
from va_common.ros_time import to_seconds
from va_common.settings import SettingValue
from va_interfaces.msg import AudioChunk, PlaybackEvent, ReplyChunk, Wake
from va_interfaces.srv import Cancel, ContinueReply, Pause
from va_tts import kokoro_client, playback_events
from va_tts.pausing import how_of
from va_tts.phrase_cache import PhraseCache
from va_tts.playback_messages import error_in, identity_of, to_event_msg
from va_tts.playout import Playout
from va_tts.prepared_phrases import job_for, PreparedPhrases
from va_tts.sound_out import SoundOut
from va_tts.speak_api import SpeakApi
from va_tts.speaker import Speaker
from va_tts.speaker_keeper import SpeakerKeeper
from va_tts.stream_queue import StreamQueue
from va_tts.synthesis import Job, Synthesiser
from va_tts.topic_sink import TopicSink
from va_tts.utterance import Request

PHRASE_TIMEOUT_S = 60.0
STUCK_S = 30.0
"""A piece takes 5 s on a slow machine; one that takes this long never ends."""
WAKE_MAX_AGE_S = 5.0
"""Of an older one the loader thinks nothing either."""
WARM_UP = 'A.'


class TtsNode(AssistantNode):
    """Speaks what comes on /llm/chunk, /tts/stream and /tts/speak."""

    def __init__(self, **arguments: Any) -> None:
        self._queue: StreamQueue | None = None
        self._synthesiser: Synthesiser | None = None
        self._phrases: PreparedPhrases | None = None
        self._voices: kokoro_client.Voices | None = None
        self._out: SoundOut | None = None
        self._keeper: SpeakerKeeper | None = None
        self._refused = ''
        super().__init__('tts', section='tts', shared=('system', 'audio'), **arguments)
        self.add_on_set_parameters_callback(self._check_voice)
        self._make_interfaces()

    def _make_interfaces(self) -> None:
        self._events = self.create_lifecycle_publisher(PlaybackEvent, 'tts/playback', qos.EVENTS)
        self._reference = self.create_lifecycle_publisher(AudioChunk, 'tts/reference', qos.AUDIO)
        self._speaker_topic = self.create_lifecycle_publisher(
            AudioChunk, 'audio/speaker', qos.AUDIO)
        self._reference_numbers = itertools.count()
        self._speaker_numbers = itertools.count()
        # One group: the chunks of a reply have an order.
        streams = MutuallyExclusiveCallbackGroup()
        for topic, source in (('llm/chunk', playback_events.Source.REPLY),
                              ('tts/stream', playback_events.Source.STREAM)):
            self.create_subscription(
                ReplyChunk, topic, partial(self._on_chunk, source), qos.EVENTS,
                callback_group=streams)
        self.create_subscription(
            ReplyChunk, 'llm/draft', self._on_draft, qos.EVENTS, callback_group=streams)
        self.create_subscription(
            Wake, 'kwd/wake', self._on_wake, qos.EVENTS,
            callback_group=MutuallyExclusiveCallbackGroup())
        self.create_service(
            ContinueReply, 'tts/continue', self._on_continue, callback_group=streams)
        self.create_service(
            Cancel, 'tts/stop', self._on_stop, callback_group=ReentrantCallbackGroup())
        self.create_service(
            Pause, 'tts/pause', self._on_pause, callback_group=MutuallyExclusiveCallbackGroup())
        self._speak_api = SpeakApi(self, self._active_queue, self._request)

    # Lifecycle --------------------------------------------------------------------------------

    def engine_modules(self) -> tuple[str, ...]:
        """See :meth:`AssistantNode.engine_modules`."""
        choice = kokoro_client.choose_engine(self.setting('engine'), self.profile.name)
        return (f'va_tts.kokoro_{choice.name}_engine',)

    def do_configure(self) -> None:
        """Open the device, load the model, prepare the phrases."""
        self._out = self._make_out()
        self._out.open()
        choice = kokoro_client.choose_engine(self.setting('engine'), self.profile.name)
        models = self.setting('system.models_dir')
        self.log.info('engine', name=choice.name, why=choice.reason)
        self._voices = kokoro_client.Voices(kokoro_client.voices_dir(models))
        kokoro_client.check_voice(self.setting('voice'), self._voices.names())
        model_sum = sha256_of(kokoro_client.model_file(choice, models))
        self._synthesiser = Synthesiser(self._load_engine(choice, models, model_sum))
        cache = PhraseCache(self._cache_folder(), self.setting('cache_mb') * 1_000_000)
        self._phrases = PreparedPhrases(cache, model_sum, self.log.warning)
        self._prepare_phrases(self._synthesiser, self._phrases)
        self._queue = StreamQueue(
            self._synthesiser, self._phrases, self._out.rate, self._emit,
            self._publish_reference, self.log.warning, self.setting('stream_timeout_ms') / 1000)
        self._set_gain()

    def do_activate(self) -> None:
        """Let the device run."""
        assert self._out is not None and self._queue is not None
        self._out.start(self._queue.playout)
        if isinstance(self._out, Speaker):
            self._keeper = SpeakerKeeper(
                self._out, self._speaker_lost, self._speaker_opened, self._speaker_back)
            self._keeper.start()

    def do_deactivate(self) -> None:
        """Be silent."""
        keeper, self._keeper = self._keeper, None
        with ExitStack() as steps:  # each is done, also when one before it fails
            if self._out is not None:
                steps.callback(self._out.stop)
            if self._queue is not None:
                steps.callback(self._queue.flush)
                self._queue.stop('', 0, 'tts is deactivated')
            if keeper is not None:
                keeper.stop()

    def do_cleanup(self) -> None:
        """Close device, queue and engine."""
        out, self._out = self._out, None
        queue, self._queue = self._queue, None
        synthesiser, self._synthesiser = self._synthesiser, None
        self._phrases = self._voices = None
        with ExitStack() as steps:  # from the last to the first, also when one fails
            for each in (synthesiser, queue, out):
                if each is not None:
                    steps.callback(each.close)

    def health_problem(self) -> str | None:
        """See :meth:`AssistantNode.health_problem`."""
        if self._out is None or self._queue is None or self._synthesiser is None:
            return 'not configured'
        if not self._queue.alive:
            return 'the playback thread has ended'
        if self._synthesiser.busy_s > STUCK_S:
            return f'it hangs: a synthesis has been running for more than {STUCK_S:g} s'
        lost = self._keeper.problem if self._keeper is not None else None
        return lost or self._out.problem()

    def waits_for_device(self) -> bool:
        """The speaker is opened again for as long as it takes."""
        out, keeper = self._out, self._keeper
        if keeper is None or not isinstance(out, Speaker) or out.broken:
            return False
        return keeper.problem is not None or out.problem() is not None

    def diagnostics(self) -> dict[str, str]:
        """See :meth:`AssistantNode.diagnostics`."""
        values = {'voice': self.setting('voice'), 'speed': f'{self.setting("speed"):g}'}
        if self._out is not None:
            values |= self._out.describe()
        if self._keeper is not None:
            values |= self._keeper.describe()
        if self._queue is not None and self._synthesiser is not None:
            values |= {
                'queued utterances': str(self._queue.length),
                'underruns': str(self._queue.underruns),
                'real-time factor': f'{self._synthesiser.real_time_factor:.2f}',
                'prepared phrases': str(len(self._phrases or ())),
            }
        return values

    def close(self, end_spinning: Callable[[], None] = lambda: None) -> None:
        """See :meth:`AssistantNode.close`."""
        self._speak_api.destroy()
        super().close(end_spinning)

    # Configure's parts ------------------------------------------------------------------------

    def _make_out(self) -> SoundOut:
        rate = self.setting('audio.output_rate')
        if self.setting('audio.audio_sink') == 'topic':
            return TopicSink(rate, self._publish_speaker)
        block_s = self.setting('audio.output_block_ms') / 1000
        return Speaker(self.setting('audio.output_device'), rate, block_s, self._device_underrun)

    def _load_engine(self, choice: kokoro_client.EngineChoice, models: str,
                     model_sum: str) -> kokoro_client.Engine:
        return kokoro_client.load_engine(
            choice, models, self.profile.name, self.setting('threads'), self._cache_folder(),
            model_sum)

    def _cache_folder(self) -> Path:
        return cache_folder(self.setting('cache_dir'), 'tts')

    def _prepare_phrases(self, synthesiser: Synthesiser, phrases: PreparedPhrases) -> None:
        voice, speed = self.setting('voice'), self.setting('speed')
        missing = phrases.missing(self.setting('prepared_phrases'), voice, speed)
        for text in missing:
            sound = synthesiser.now(job_for(text, voice, speed), PHRASE_TIMEOUT_S)
            phrases.put(text, voice, speed, sound)
        if not missing:
            # The first inference is slow: not in the first reply.
            synthesiser.now(
                Job(WARM_UP, voice, kokoro_client.SPEEDS[1]), PHRASE_TIMEOUT_S)
        self.log.info('phrases prepared', count=len(phrases), synthesised=len(missing))

    # Text in ----------------------------------------------------------------------------------

    def _on_chunk(self, source: playback_events.Source, chunk: ReplyChunk) -> None:
        try:
            if not self.is_active:
                return
            self._take_chunk(source, chunk)
        except Exception as error:
            self._log_refusal(chunk, error_of(error))

    def _take_chunk(self, source: playback_events.Source, chunk: ReplyChunk) -> None:
        request = self._request(identity_of(chunk, source), '', 0.0)
        self._active_queue().chunk(
            request, chunk.sequence, chunk.text, chunk.is_last, error_in(chunk))
        self.progress.advance('chunks')

    def _on_draft(self, chunk: ReplyChunk) -> None:
        """What may become a reply: its first pieces are made, and not heard."""
        try:
            if self.is_active:
                request = self._request(
                    identity_of(chunk, playback_events.Source.REPLY), '', 0.0)
                self._active_queue().draft(
                    request, chunk.sequence, chunk.text, chunk.is_last, error_in(chunk))
        except Exception as error:
            self._log_refusal(chunk, error_of(error))

    def _on_continue(self, request: ContinueReply.Request,
                     response: ContinueReply.Response) -> ContinueReply.Response:
        try:
            self._take_chunk(playback_events.Source.REPLY, request.chunk)
        except Exception as raised:
            error = error_of(raised)
            self._log_refusal(request.chunk, error)
            response.error_code, response.error_msg = int(error.code), error.message
        return response

    def _log_refusal(self, chunk: ReplyChunk, error: AssistantError) -> None:
        """One line for each utterance: the chunks of a stopped reply go on coming for a while."""
        name = f'{chunk.dialog_id}/{chunk.turn}/{chunk.revision} {error.code}'
        if name != self._refused:
            self._refused = name
            self.log.warning('chunk refused', reason=error.message)

    def _request(self, identity: playback_events.Identity, voice: str, speed: float) -> Request:
        """A request with the node's voice and speed where none are given.

        Raises:
            AssistantError: INVALID_ARGUMENT for an unknown voice or a speed out of range.
        """
        voice = voice or self.setting('voice')
        speed = speed or self.setting('speed')
        kokoro_client.check_speed(speed)
        if self._voices is not None:
            kokoro_client.check_voice(voice, self._voices.names())
        return Request(identity, voice, speed)

    def _active_queue(self) -> StreamQueue:
        self.require_active()
        if self._queue is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, 'tts is not configured')
        return self._queue

    def _on_stop(self, request: Cancel.Request, response: Cancel.Response) -> Cancel.Response:
        try:
            response.heard = self._active_queue().stop(
                request.dialog_id, request.turn, request.reason or 'stop was asked for',
                request.revision)
        except Exception as raised:
            error = error_of(raised)
            response.error_code, response.error_msg = int(error.code), error.message
        return response

    def _on_pause(self, request: Pause.Request, response: Pause.Response) -> Pause.Response:
        try:
            response.heard = self._active_queue().pause(
                request.dialog_id, request.turn, how_of(request.what), request.at_most_ms / 1000)
        except Exception as raised:
            error = error_of(raised)
            response.error_code, response.error_msg = int(error.code), error.message
        return response

    def _on_wake(self, wake: Wake) -> None:
        """Whoever calls wants to be heard; the loader silences only what is of its dialogs."""
        if self.is_active and abs(time.time() - to_seconds(wake.header.stamp)) < WAKE_MAX_AGE_S:
            self._active_queue().stop_programs('wake word')

    # Sound and events out ---------------------------------------------------------------------

    def _emit(self, event: playback_events.PlaybackEvent) -> None:
        self.progress.advance(f'events {event.kind.name.lower()}')
        self._events.publish(to_event_msg(event))
        self._speak_api.feedback(event)

    def _publish_reference(self, samples: Int16, start_s: float, anew: bool) -> None:
        number = next(self._reference_numbers)
        if anew:  # chunks of before are void: to who listens, they were lost
            number = next(self._reference_numbers)
        self._reference.publish(to_chunk(samples, number, start_s, SAMPLE_RATE))

    def _publish_speaker(self, samples: Int16, start_s: float) -> None:
        assert self._out is not None
        number = next(self._speaker_numbers)
        self._speaker_topic.publish(to_chunk(samples, number, start_s, self._out.rate))

    # The speaker ------------------------------------------------------------------------------

    def _device_underrun(self) -> None:
        if self._queue is not None:
            self._queue.device_underrun()

    def _speaker_lost(self, reason: str) -> None:
        if self._queue is not None:
            self._queue.block(AssistantError(ErrorCode.DEVICE_FAILED, reason))

    def _speaker_opened(self) -> Playout:
        assert self._out is not None and self._queue is not None
        self._queue.change_rate(self._out.rate)
        return self._queue.playout

    def _speaker_back(self) -> None:
        assert self._out is not None and self._queue is not None
        self._queue.resume()
        self.log.info('the speaker is back', rate=self._out.rate)

    # Live settings ----------------------------------------------------------------------------

    def _check_voice(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == 'voice' and self._voices is not None:
                try:
                    kokoro_client.check_voice(str(parameter.value), self._voices.names())
                except AssistantError as error:
                    return SetParametersResult(successful=False, reason=error.message)
        return SetParametersResult(successful=True)

    def on_setting(self, key: str, value: SettingValue) -> None:
        """See :meth:`AssistantNode.on_setting`."""
        if key in ('volume', 'ducking_db'):
            self._set_gain()
        elif key in ('voice', 'speed'):
            self._prepare_again()

    def _set_gain(self) -> None:
        if self._queue is not None:
            ducked = 10 ** (-self.setting('ducking_db') / 20)
            self._queue.playout.set_gain(self.setting('volume') * ducked)

    def _prepare_again(self) -> None:
        """Synthesise the phrases in the new voice, in the background."""
        if self._queue is None or self._phrases is None:
            return
        voice, speed, phrases = self.setting('voice'), self.setting('speed'), self._phrases
        missing = phrases.missing(self.setting('prepared_phrases'), voice, speed)
        self._queue.prepare([
            (job_for(text, voice, speed), partial(phrases.put, text, voice, speed))
            for text in missing])
