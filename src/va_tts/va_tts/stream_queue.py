# SPDX-License-Identifier: Apache-2.0
"""The queue of utterances: one is heard, the next pieces are synthesised meanwhile.

An utterance goes through: text in pieces, synthesis in the worker, the line of the device, heard.
It can be cancelled at each of these; every one of them is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools
import threading
import time

from va_common.audio_io import Float32
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_tts.heard import Heard
from va_tts.kokoro_client import language_of
from va_tts.playback_events import Kind, PlaybackEvent, Source
from va_tts.playback_pump import PlaybackPump
from va_tts.playout import Dry, FarEnd, Played, Playout, Report
from va_tts.prepared_phrases import PreparedPhrases
from va_tts.reference import Reference
from va_tts.spoken_text import spoken
from va_tts.synthesis import Job, resample, Result, Synthesiser
from va_tts.text_pieces import PieceSplitter
from va_tts.turn_gate import is_covered, is_older, TurnGate
from va_tts.utterance import Outcome, PieceState, Request, Utterance

MAX_UTTERANCES = 16
MAX_AHEAD_S = 20.0
"""Seconds of sound that are synthesised before they are needed, at most."""

Emit = Callable[[PlaybackEvent], None]
Warn = Callable[[str], None]


class StreamQueue:
    """Speaks utterances in the order in which they began. Thread-safe.

    Args:
        synthesiser: owned by the caller.
        phrases: sound that needs no synthesis.
        emit: takes the events, one after another, in a thread of the queue.
        publish_reference: takes the far-end chunks in the same thread, see
            :class:`va_tts.reference.Reference`.
        warn: takes a line for the log.
        stream_timeout_s: a stream that brings nothing for so long has failed.
        now: Unix time in seconds; clock: a steady clock.
    """

    def __init__(self, synthesiser: Synthesiser, phrases: PreparedPhrases, rate: int, emit: Emit,
                 publish_reference: Callable[..., None], warn: Warn,
                 stream_timeout_s: float = 10.0, now: Callable[[], float] = time.time,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._synthesiser = synthesiser
        self._phrases = phrases
        self._emit = emit
        self._publish_reference = publish_reference
        self._warn = warn
        self._stream_timeout_s = stream_timeout_s
        self._now = now
        self._clock = clock
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._line: list[Utterance] = []
        self._background: list[tuple[Job, Callable[[Float32], None]]] = []
        self._gate = TurnGate(clock)
        self._reference = Reference(rate, publish_reference)
        self._pump = PlaybackPump(self._handle, self._tick, self._pump_failed)
        self.playout = Playout(rate, self._pump.report)
        self.underruns = 0

    # What comes in ----------------------------------------------------------------------------

    def speak(self, request: Request, text: str, interrupt: bool = False) -> Utterance:
        """Say a whole text; ``interrupt``: everything else gives way.

        Raises:
            AssistantError: INVALID_ARGUMENT for a text that is empty or too long, OUTDATED, BUSY.
        """
        if not text.strip():
            raise AssistantError(ErrorCode.INVALID_ARGUMENT, 'text is empty: expected words')
        with self._lock:
            self._gate.speak(request.identity.dialog_id, request.identity.turn)
            if interrupt:
                self._cancel(self._line, 'another utterance interrupts it')
            utterance = self._begin(request)
            try:
                self._take_text(utterance, text, is_last=True)
            except AssistantError:
                self._line.remove(utterance)
                raise
        return utterance

    def chunk(self, request: Request, sequence: int, text: str, is_last: bool,
              error: AssistantError | None = None) -> None:
        """Take the next chunk of a streamed text.

        Raises:
            AssistantError: OUTDATED for a turn that is not wanted any more, a chunk that came
                before or one whose beginning is missing; INVALID_ARGUMENT, BUSY.
        """
        with self._lock:
            utterance = self._stream(request, sequence)
            if sequence > utterance.next_sequence:
                self._warn(f'{request.identity.utterance_id}: chunks {utterance.next_sequence} '
                           f'to {sequence - 1} were lost')
            utterance.next_sequence = sequence + 1
            utterance.touched_s = self._clock()
            utterance.error = error
            try:
                self._take_text(utterance, text, is_last)
            except AssistantError as refused:
                self._end(utterance, Kind.FAILED, refused)
                raise

    def prepare(self, jobs: list[tuple[Job, Callable[[Float32], None]]]) -> None:
        """Synthesise phrases whenever no utterance needs the worker; replaces earlier ones."""
        with self._lock:
            self._background = list(jobs)
            self._kick()

    # What stops -------------------------------------------------------------------------------

    def cancel(self, utterance: Utterance, reason: str) -> str:
        """Stop one utterance at once and return what was heard of it."""
        with self._lock:
            return self._cancel([u for u in self._line if u is utterance], reason)

    def stop(self, dialog_id: str, turn: int, reason: str) -> str:
        """Stop a turn and everything older, or with an empty dialog id everything.

        Returns:
            What was heard of what was playing.
        """
        with self._lock:
            if not dialog_id:
                self._gate.stop_newest()
                return self._cancel(self._line, reason)
            key = TurnKey(dialog_id, turn)
            self._gate.stop(key)
            return self._cancel([u for u in self._line if is_covered(u.request.key, key)], reason)

    def fail_all(self, error: AssistantError) -> None:
        """End everything with an error, as when the speaker is gone."""
        with self._lock:
            for utterance in list(self._line):
                self._end(utterance, Kind.FAILED, error)

    def flush(self, timeout_s: float = 2.0) -> None:
        """Wait until all events so far have been emitted. Raises AssistantError TIMEOUT."""
        self._pump.flush(timeout_s)

    def close(self) -> None:
        """Cancel everything, emit the last events, end the thread; idempotent."""
        with self._lock:
            self._background.clear()
            self._cancel(self._line, 'shutting down')
        self._pump.close()

    def set_rate(self, rate: int) -> None:
        """Go on with a device of another rate; what is under way fails before."""
        with self._lock:
            self.playout.clear(rate)
            self._pump.call(self._renew_reference, rate)

    def device_underrun(self) -> None:
        """Note that the device ran out of sound; from any thread."""
        self._pump.call(self._device_underrun)

    # What is known ----------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Utterances that are queued or playing."""
        with self._lock:
            return len(self._line)

    @property
    def alive(self) -> bool:
        """Whether the thread of the queue runs."""
        return self._pump.alive

    # Text -------------------------------------------------------------------------------------

    def _stream(self, request: Request, sequence: int) -> Utterance:
        """The utterance that a chunk belongs to, a new one for the first chunk."""
        wanted = (request.identity.source, request.key)
        for utterance in self._line:
            if (utterance.request.identity.source, utterance.request.key) == wanted:
                if sequence < utterance.next_sequence or utterance.complete:
                    raise _refused(request, sequence, 'it was spoken before')
                return utterance
        if sequence != 0:
            raise _refused(request, sequence, 'its beginning is not being spoken')
        if request.identity.source is Source.REPLY:
            self._gate.reply(request.key)
        return self._begin(request)

    def _begin(self, request: Request) -> Utterance:
        """Queue an utterance; what it outdates is dropped."""
        older = [u for u in self._line if _outdates(request, u.request)]
        self._cancel(older, f'{request.identity.utterance_id} is newer')
        if len(self._line) >= MAX_UTTERANCES:
            message = f'{len(self._line)} utterances wait: expected at most {MAX_UTTERANCES}'
            raise AssistantError(ErrorCode.BUSY, message)
        utterance = Utterance(
            number=next(self._numbers), request=request,
            splitter=PieceSplitter(self._synthesiser.growth), heard=Heard(self.playout.rate),
            touched_s=self._clock())
        self._line.append(utterance)
        return utterance

    def _take_text(self, utterance: Utterance, text: str, is_last: bool) -> None:
        request = utterance.request
        whole = self._phrases.get(text, request.voice, request.speed) if is_last else None
        if whole is not None and not utterance.length:
            utterance.complete = True
            utterance.add_piece(text.strip(), text.strip(), resample(whole, self.playout.rate))
        else:
            language = language_of(request.voice)[:2]
            for piece in utterance.texts(text, is_last):
                utterance.add_piece(piece, spoken(piece, language))
        self._kick()
        self._send()
        self._pump.wake()

    # Synthesis --------------------------------------------------------------------------------

    def _kick(self) -> None:
        """Give the worker its next piece, if it is idle and the piece will be needed soon."""
        if self._synthesiser.busy:
            return
        for utterance in self._line:
            index = utterance.waiting()
            if index is not None:
                if self._ahead_s() < MAX_AHEAD_S:
                    self._synthesise(utterance, index)
                return
        if self._background:
            job, _ = self._background[0]
            self._synthesiser.start(job, self._phrase_done)

    def _ahead_s(self) -> float:
        unsent = sum(
            len(piece.samples) for utterance in self._line for piece in utterance.pieces
            if piece.samples is not None)
        return self.playout.buffered_s() + unsent / self.playout.rate

    def _synthesise(self, utterance: Utterance, index: int) -> None:
        piece, request = utterance.pieces[index], utterance.request
        piece.state = PieceState.WORKING
        job = Job(piece.words, request.voice, request.speed, utterance.number, index)
        self._synthesiser.start(job, self._piece_done)

    def _piece_done(self, job: Job, result: Result) -> None:
        """Called in the worker."""
        rate = self.playout.rate
        samples = None if isinstance(result, AssistantError) else resample(result, rate)
        with self._lock:
            utterance = self._find(job.owner)
            if utterance is not None:
                if isinstance(result, AssistantError):
                    self._end(utterance, Kind.FAILED, result)
                else:
                    piece = utterance.pieces[job.index]
                    piece.state, piece.samples = PieceState.READY, samples
                    self._send()
            self._kick()
        self._pump.wake()

    def _phrase_done(self, job: Job, result: Result) -> None:
        """Called in the worker."""
        with self._lock:
            keep = next((keep for other, keep in self._background if other == job), None)
            self._background = [entry for entry in self._background if entry[0] != job]
        if isinstance(result, AssistantError):
            self._warn(f'a phrase could not be prepared: {result.message}')
        elif keep is not None:
            keep(result)
        with self._lock:
            self._kick()

    # Playing ----------------------------------------------------------------------------------

    def _send(self) -> None:
        """Put what is ready of the first utterance that is not all with the device in its line."""
        for utterance in self._line:
            if utterance.handed_over:
                continue
            for index, piece in enumerate(utterance.pieces):
                if piece.state in (PieceState.WAITING, PieceState.WORKING):
                    return
                if piece.state is PieceState.READY:
                    self._send_piece(utterance, index)
            return

    def _send_piece(self, utterance: Utterance, index: int) -> None:
        piece, sound = utterance.pieces[index], utterance.heard.pieces[index]
        samples, piece.samples, piece.state = piece.samples, None, PieceState.SENT
        if samples is None or not len(samples):
            sound.silent = True
            return
        sound.frames = len(samples)
        self.playout.add(utterance.number, index, samples)

    def _handle(self, report: Report) -> None:
        """Called in the pump."""
        if isinstance(report, FarEnd):
            self._reference.push(report.samples, report.start_s)
            return
        with self._lock:
            if isinstance(report, Played):
                self._played(report)
            else:
                self._dry(report)

    def _played(self, report: Played) -> None:
        utterance = self._find(report.owner)
        if utterance is None:
            return
        for event in utterance.tracker.played(report.piece, report.start_s, report.frames):
            self._emit_event(event)

    def _dry(self, report: Dry) -> None:
        self._reference.flush()
        for utterance in self._line:
            utterance.tracker.dry(report.start_s)

    def _tick(self) -> bool:
        """Called in the pump: end what has been heard, let the next one follow."""
        now_s = self._now()
        with self._lock:
            for utterance in list(self._line):
                self._look_at(utterance, now_s)
            self._send()
            self._kick()
            return bool(self._line)

    def _look_at(self, utterance: Utterance, now_s: float) -> None:
        event = utterance.tracker.progress(now_s)
        if event is not None:
            self._emit_event(event)
        if utterance.handed_over:
            if now_s >= utterance.heard.end_s:
                kind = Kind.FINISHED if utterance.error is None else Kind.FAILED
                self._end(utterance, kind, utterance.error, utterance.heard.end_s or now_s)
        elif not utterance.complete and utterance.drained:
            silent_s = self._clock() - max(utterance.touched_s, 0.0)
            if silent_s > self._stream_timeout_s:
                message = f'the text stopped coming {silent_s:.1f} s ago, before its end'
                self._end(utterance, Kind.FAILED, AssistantError(ErrorCode.TIMEOUT, message))

    # Ending -----------------------------------------------------------------------------------

    def _cancel(self, utterances: list[Utterance], reason: str) -> str:
        heard = ''
        for utterance in list(utterances):
            error = AssistantError(ErrorCode.CANCELLED, f'stopped: {reason}')
            text = self._end(utterance, Kind.INTERRUPTED, error)
            heard = heard or text
        return heard

    def _end(self, utterance: Utterance, kind: Kind, error: AssistantError | None,
             stamp_s: float | None = None) -> str:
        """Take an utterance out, wherever it is; return what was heard of it."""
        self._line.remove(utterance)
        self.playout.cut({utterance.number})
        self._synthesiser.abort(utterance.number)
        code = ErrorCode.OK if error is None else error.code
        message = '' if error is None else error.message
        event = utterance.tracker.event(
            kind, self._now() if stamp_s is None else stamp_s, code, message)
        self._emit_event(event)
        outcome = Outcome(code, message, event.text, event.position_s)
        self._pump.call(utterance.done.set_result, outcome)
        return event.text

    def _find(self, number: int) -> Utterance | None:
        return next((u for u in self._line if u.number == number), None)

    def _emit_event(self, event: PlaybackEvent) -> None:
        if event.kind is Kind.UNDERRUN:
            self.underruns += 1
        self._pump.call(self._emit, event)

    def _device_underrun(self) -> None:
        with self._lock:
            for utterance in self._line:
                if utterance.tracker.sounding and not utterance.handed_over:
                    self._emit_event(utterance.tracker.underrun(self._now()))

    def _renew_reference(self, rate: int) -> None:
        self._reference = Reference(rate, self._publish_reference)

    def _pump_failed(self, error: Exception) -> None:
        self._warn(f'playback thread: {type(error).__name__}: {error}')


def _outdates(new: Request, old: Request) -> bool:
    """Whether ``old`` gives way: an older turn, or an older revision of the same reply."""
    if new.identity.source is Source.STREAM or old.identity.source is Source.STREAM:
        same = new.identity.source is old.identity.source and \
            new.key.dialog_id == old.key.dialog_id and new.key.turn == old.key.turn
        return same and old.revision < new.revision
    if new.key.dialog_id == old.key.dialog_id and new.key.turn == old.key.turn:
        both = new.identity.source is old.identity.source is Source.REPLY
        return both and old.revision < new.revision
    return is_older(old.key, new.key)


def _refused(request: Request, sequence: int, why: str) -> AssistantError:
    message = f'chunk {sequence} of {request.identity.utterance_id} refused: {why}'
    return AssistantError(ErrorCode.OUTDATED, message)
