# SPDX-License-Identifier: Apache-2.0
"""The node ``llm``: final transcripts in, streamed replies out."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup

from va_common import qos
from va_common.cache_folder import cache_folder
from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import TurnKey
from va_common.lifecycle import AssistantNode
from va_common.ros_time import to_msg, to_seconds
from va_common.settings import SettingValue
from va_interfaces.msg import PlaybackEvent, ReplyChunk, Transcript
from va_interfaces.srv import Cancel, ResumeDialog
from va_llm.completion_action import CompletionAction
from va_llm.engine import choose_engine, Completion, Deadlines, TextEngine
from va_llm.engine_factory import (
    build_engine,
    EngineSettings,
    LlamaCppSettings,
    load_modelfile,
    OllamaSettings,
)
from va_llm.engine_health import EngineHealth
from va_llm.history import History
from va_llm.modelfile_loader import Modelfile
from va_llm.pace import Pace
from va_llm.reply_writer import ReplyPiece
from va_llm.resume_api import ResumeApi
from va_llm.turn_runner import TurnRunner

CHECK_PERIOD_S = 1.0
WARM_UP_TIMEOUT_S = 120.0


class LlmNode(AssistantNode):
    """Answers every final transcript of a dialog, and free completions."""

    def __init__(self, **kwargs: Any) -> None:
        self._engine: TextEngine | None = None
        self._runner: TurnRunner | None = None
        self._health_of_engine: EngineHealth | None = None
        self._complete: CompletionAction | None = None
        self._entities: list[tuple[Any, Any]] = []
        self._deadlines = Deadlines()
        self._pace = Pace()
        # Last: with autostart, configure may begin before this returns.
        super().__init__('llm', section='llm', shared=('system',), **kwargs)

    # Lifecycle --------------------------------------------------------------------------------

    def engine_modules(self) -> tuple[str, ...]:
        """See :meth:`AssistantNode.engine_modules`."""
        kind = choose_engine(self.setting('engine'), self.profile.name)
        return (f'va_llm.{"ollama_client" if kind == "ollama" else "llama_cpp_engine"}',)

    def do_configure(self) -> None:
        """Read the Modelfile, load the engine and let it say one token."""
        modelfile = load_modelfile(self.setting('modelfile'))
        for warning in modelfile.warnings:
            self.log.warning(warning)
        self._set_deadlines()
        self._engine = self.make_engine(modelfile)
        history = History(self.setting('history_turns'), self._history_tokens(modelfile))
        self._runner = TurnRunner(
            self._engine, modelfile.prefix, history, self._deadlines, self._publish,
            lambda: self._max_tokens(modelfile), time.monotonic)
        self._health_of_engine = EngineHealth(self._runner, time.monotonic)
        self._warm_up()
        self._open_interfaces()

    def make_engine(self, modelfile: Modelfile) -> TextEngine:
        """Load the engine of the settings."""
        kind = choose_engine(self.setting('engine'), self.profile.name)
        self.log.info('loading', engine=kind, modelfile=modelfile.path)
        settings = EngineSettings(
            OllamaSettings(self.setting('ollama_url'), self.setting('model'),
                           self.setting('keep_alive'),
                           allow_remote=self.setting('ollama_allow_remote')),
            LlamaCppSettings(self.setting('model_cpu'), self.setting('system.models_dir'),
                             self.setting('threads'), self.setting('context_tokens'),
                             cache_folder(self.setting('cache_dir'), 'llm')))
        return build_engine(kind, modelfile, settings, self._deadlines)

    def do_deactivate(self) -> None:
        """Stop what runs; the replies end as cancelled."""
        if self._runner is not None:
            self._runner.halt('the node is deactivated')
            self._runner.wait_idle(self._deadlines.token_s)

    def do_cleanup(self) -> None:
        """Unload the engine and take the interfaces down."""
        if self._complete is not None:
            self._complete.destroy()
            self._complete = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)
        self._health_of_engine = None
        runner, self._runner = self._runner, None
        engine, self._engine = self._engine, None
        try:
            if runner is not None:
                runner.close()
        finally:
            if engine is not None:
                engine.close()

    def health_problem(self) -> str | None:
        """A hung generation, or an engine that fails its probe."""
        health = self._health_of_engine
        return None if health is None else health.problem()

    def waits_for_device(self) -> bool:
        """A server that is away or broken is not mended by restarting this node."""
        engine, health = self._engine, self._health_of_engine
        return engine is not None and engine.name == 'ollama' and health is not None \
            and health.engine_fails

    def diagnostics(self) -> dict[str, str]:
        """Engine and model in use."""
        engine = self._engine
        if engine is None:
            return {'engine': 'none'}
        return {'engine': engine.name, 'model': engine.model}

    def on_setting(self, key: str, value: SettingValue) -> None:
        """Deadlines take effect at once; max_tokens is read before each answer."""
        self._set_deadlines()

    # Setting up -------------------------------------------------------------------------------

    def _set_deadlines(self) -> None:
        self._deadlines.first_token_s = self.setting('first_token_timeout_ms') / 1000.0
        self._deadlines.token_s = self.setting('token_timeout_ms') / 1000.0

    def _max_tokens(self, modelfile: Modelfile) -> int:
        limit = int(self.setting('max_tokens'))
        wanted = modelfile.parameters.get('num_predict', -1)
        return min(limit, wanted) if isinstance(wanted, int) and wanted > 0 else limit

    def _history_tokens(self, modelfile: Modelfile) -> int:
        """What of the context is left to the dialog: half, the rest is prefix and answer."""
        context = modelfile.parameters.get('num_ctx', self.setting('context_tokens'))
        return int(context) // 2 if isinstance(context, int) else 0

    def _warm_up(self) -> None:
        assert self._runner is not None and self._engine is not None
        started = time.monotonic()
        try:
            self._runner.probe().result(WARM_UP_TIMEOUT_S)
        except FutureTimeoutError:
            message = f'{self._engine.name}: no first token within {WARM_UP_TIMEOUT_S:g} s'
            raise AssistantError(ErrorCode.TIMEOUT, message) from None
        self.log.info('warm', engine=self._engine.name, model=self._engine.model,
                      ms=round((time.monotonic() - started) * 1000))

    def _open_interfaces(self) -> None:
        group = ReentrantCallbackGroup()
        self._chunks = self.create_publisher(ReplyChunk, 'llm/chunk', qos.EVENTS)
        self._drafts = self.create_publisher(ReplyChunk, 'llm/draft', qos.EVENTS)
        self._entities = [
            (self.destroy_publisher, self._chunks),
            (self.destroy_publisher, self._drafts),
            (self.destroy_subscription, self.create_subscription(
                Transcript, 'stt/transcript', self._on_transcript, qos.EVENTS)),
            (self.destroy_subscription, self.create_subscription(
                PlaybackEvent, 'tts/playback', self._on_playback, qos.EVENTS)),
            (self.destroy_service, self.create_service(
                Cancel, 'llm/stop', self._on_stop, callback_group=group)),
            (self.destroy_timer, self.create_timer(
                CHECK_PERIOD_S, self._check_engine, callback_group=group)),
        ]
        assert self._runner is not None
        resume = self._make_resume_api(self._runner)
        self._entities.append((self.destroy_service, self.create_service(
            ResumeDialog, 'llm/resume', resume, callback_group=group)))
        self._complete = CompletionAction(self, self._runner, group)

    def _make_resume_api(self, runner: TurnRunner) -> ResumeApi:
        health = self._health_of_engine
        assert health is not None
        return ResumeApi(self.require_active, health.doubt, self._chunk_listeners, runner.history,
                         lambda key, text: self._answer(runner, key, text), self.log)

    def _chunk_listeners(self) -> list[str]:
        """Names of the nodes that get every chunk from now on; fewer while not all are known."""
        seen = self.get_subscriptions_info_by_topic('llm/chunk')
        matched = self._chunks.get_subscription_count() >= len(seen)
        return [str(each.node_name) for each in seen] if matched else []

    # Turns ------------------------------------------------------------------------------------

    def _on_transcript(self, message: Transcript) -> None:
        runner = self._runner
        # Ids of dialogs begin with d; what the action stt/listen hears has other ids.
        if not self.is_active or runner is None or not message.dialog_id.startswith('d'):
            return
        key = TurnKey(message.dialog_id, message.turn, message.revision)
        if message.kind == Transcript.PARTIAL:
            self._on_pause(runner, key, message)
        elif message.kind == Transcript.RESUMED:
            runner.drop_draft('the user speaks on', key)
        elif message.kind == Transcript.FINAL and message.outcome == Transcript.OUTCOME_SPEECH:
            self._on_question(runner, key, message.text)
        elif message.kind == Transcript.FINAL:
            runner.drop_draft('there is nothing to answer', key)

    def _on_question(self, runner: TurnRunner, key: TurnKey, text: str) -> None:
        self._pace.asked(key, time.time())
        try:
            self._answer(runner, key, text)
        except AssistantError as error:
            self.log.warning('turn refused', dialog=key.dialog_id, turn=key.turn,
                             reason=error.message)
            if error.code != ErrorCode.OUTDATED:
                self._publish(ReplyPiece(key, 0, '', is_last=True, error=error))

    def _on_pause(self, runner: TurnRunner, key: TurnKey, message: Transcript) -> None:
        """Begin to answer what may be all; after it comes FINAL or RESUMED."""
        turn_end_s = to_seconds(message.endpoint_time)
        if not turn_end_s or not self.setting('speculation'):
            return
        wait_s = self._pace.delay_s(key, to_seconds(message.speech_end), turn_end_s, time.time())
        if wait_s is None:
            runner.drop_draft('too many pauses, or too little time', key)
            return
        try:
            future = runner.draft(key, message.text, wait_s, self._publish_draft)
        except AssistantError as error:
            self.log.info('no draft', dialog=key.dialog_id, turn=key.turn, reason=error.message)
            return
        if future is not None:
            future.add_done_callback(self._note_draft)

    def _note_draft(self, done: Future[Completion]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._note_failure(error_of(error))

    def _publish_draft(self, piece: ReplyPiece) -> None:
        self._drafts.publish(to_reply_chunk(piece, time.time()))

    def _answer(self, runner: TurnRunner, key: TurnKey, text: str) -> None:
        """Raises AssistantError: INVALID_ARGUMENT, OUTDATED, BUSY."""
        future = runner.answer(key, text)
        started = time.monotonic()
        future.add_done_callback(lambda done: self._log_turn(key, done, started))

    def _publish(self, piece: ReplyPiece) -> None:
        if piece.sequence == 0 and piece.text:
            self.log.info('first token', dialog=piece.key.dialog_id, turn=piece.key.turn)
        if piece.error is not None:
            self._note_failure(piece.error)  # before anybody asks again
        self._chunks.publish(to_reply_chunk(piece, time.time()))
        self.progress.advance('chunks')

    def _log_turn(self, key: TurnKey, done: Future[Completion], started: float) -> None:
        ids: dict[str, Any] = {'dialog': key.dialog_id, 'turn': key.turn}
        milliseconds = round((time.monotonic() - started) * 1000)
        try:
            completion = done.result()
        except CancelledError:
            self.log.info('turn dropped', **ids)
        except Exception as raised:
            error = error_of(raised)
            self.log.error(f'turn failed: {error.message}', code=error.code.name, **ids)
            self._note_failure(error)
        else:
            self.progress.advance('turns')
            self.log.info('turn done', **ids, ms=milliseconds, end=completion.finish_reason,
                          prompt=completion.prompt_tokens, cached=completion.cached_tokens,
                          tokens=completion.completion_tokens)

    def _on_playback(self, message: PlaybackEvent) -> None:
        """What was cut off was not said: the history keeps what was heard."""
        runner = self._runner
        if runner is None or message.source != PlaybackEvent.SOURCE_REPLY:
            return
        if message.kind == PlaybackEvent.STARTED:
            key = TurnKey(message.dialog_id, message.turn, message.revision)
            self._pace.ready(key, to_seconds(message.synthesised))
        elif message.kind == PlaybackEvent.FINISHED:
            # An attempt that was dropped before is no loss.
            runner.history.correct(message.dialog_id, message.turn, None)
        elif message.kind == PlaybackEvent.INTERRUPTED and runner.history.correct(
                message.dialog_id, message.turn, message.text):
            self.log.info('answer cut to what was heard', dialog=message.dialog_id,
                          turn=message.turn)

    def _on_stop(self, request: Cancel.Request, response: Cancel.Response) -> Cancel.Response:
        runner = self._runner
        if not self.is_active or runner is None:
            response.error_code = int(ErrorCode.NOT_ACTIVE)
            response.error_msg = 'llm is not active'
            return response
        count = runner.stop(request.dialog_id, request.turn, request.reason[:200])
        self.log.info('stop', dialog=request.dialog_id, turn=request.turn, stopped=count)
        return response

    # Health -----------------------------------------------------------------------------------

    def _note_failure(self, error: AssistantError) -> None:
        if self._health_of_engine is not None:
            self._health_of_engine.failed(error)

    def _check_engine(self) -> None:
        health = self._health_of_engine
        if self.is_active and health is not None:
            health.check(self.setting('probe_idle_s'))


def to_reply_chunk(piece: ReplyPiece, now_s: float) -> ReplyChunk:
    """A piece as a message, stamped with when its first word was there."""
    chunk = ReplyChunk(
        dialog_id=piece.key.dialog_id, turn=piece.key.turn, revision=piece.key.revision,
        sequence=piece.sequence, text=piece.text, is_last=piece.is_last)
    chunk.header.stamp = to_msg(now_s - piece.age_s)
    if piece.error is not None:
        chunk.error_code = int(piece.error.code)
        chunk.error_msg = piece.error.message
    return chunk
