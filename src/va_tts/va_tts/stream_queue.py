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

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import is_dialog_id, TurnKey
from va_tts.drafts import Drafts
from va_tts.heard import Heard
from va_tts.pausing import How, Pausing
from va_tts.piece_maker import Phrase, PieceMaker
from va_tts.playback_events import Kind, PlaybackEvent, Source
from va_tts.playback_pump import PlaybackPump
from va_tts.playout import FarEnd, Played, Playout, Report
from va_tts.prepared_phrases import PreparedPhrases
from va_tts.reference import Reference
from va_tts.synthesis import Job, resample, Result, Synthesiser
from va_tts.turn_gate import is_covered, TurnGate, whole_turn
from va_tts.utterance import check_text, Outcome, PieceState, refused_chunk, Request, Utterance

MAX_UTTERANCES = 16

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
        self._warn = warn
        self._stream_timeout_s = stream_timeout_s
        self._now = now
        self._clock = clock
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._line: list[Utterance] = []
        self._blocked: AssistantError | None = None
        self._drafts = Drafts(self._utterance, synthesiser.abort, clock)
        self._maker = PieceMaker(synthesiser, self._lock, self._drafts, self._piece_done, warn)
        self._gate = TurnGate(clock)
        self._reference = Reference(rate, publish_reference)
        self.playout = Playout(rate, lambda report: self._pump.report(report))
        self._pausing = Pausing(self.playout, clock)
        self.underruns = 0
        self._pump: PlaybackPump = PlaybackPump(
            self._handle, self._tick, lambda error: warn(f'playback thread: {error!r}'))

    def speak(self, request: Request, text: str, interrupt: bool = False) -> Utterance:
        """Say a whole text; ``interrupt``: everything else gives way.

        Raises:
            AssistantError: INVALID_ARGUMENT for a text that is empty or too long, OUTDATED, BUSY.
        """
        check_text(text)
        with self._lock:
            self._gate.speak(request.identity.dialog_id, request.identity.turn)
            if interrupt:
                self._cancel(self._line, 'another utterance interrupts it')
            utterance = self._begin(request)
            self._take_text(utterance, text, is_last=True)
        return utterance

    def chunk(self, request: Request, sequence: int, text: str, is_last: bool,
              error: AssistantError | None = None) -> None:
        """Take the next chunk of a streamed text.

        Raises:
            AssistantError: OUTDATED for a turn that is not wanted any more, a chunk that came
                before or one whose beginning is missing; INVALID_ARGUMENT, BUSY.
        """
        with self._lock:
            utterance = self._stream(request, sequence, text)
            lost = sequence - utterance.next_sequence
            if lost:
                self._warn(f'{request.identity.utterance_id}: {lost} chunks were lost')
            utterance.next_sequence, utterance.error = sequence + 1, error
            utterance.touched_s = self._clock()
            try:
                self._take_text(utterance, text, is_last)
            except AssistantError as refused:
                self._end(utterance, Kind.FAILED, refused)
                raise

    def draft(self, request: Request, sequence: int, text: str, is_last: bool,
              error: AssistantError | None = None) -> None:
        """Make a reply ready that is heard only if :meth:`chunk` brings the same.

        Args:
            sequence: of the draft's chunks; one with a gap before it is of no use.
            error: the draft is given up.

        Raises:
            AssistantError: OUTDATED for a turn that is not wanted any more; INVALID_ARGUMENT.
        """
        with self._lock:
            if error is not None:
                self._drafts.drop(request.key)
                return
            self._gate.check(request.key)
            if all(u.request.identity != request.identity for u in self._line):
                self._drafts.add(request, sequence, text, is_last)
                self._advance()

    def prepare(self, phrases: list[Phrase]) -> None:
        """Synthesise phrases whenever no utterance needs the worker; replaces earlier ones."""
        with self._lock:
            self._maker.prepare(phrases)
            self._pump.wake()

    def cancel(self, utterance: Utterance, reason: str) -> str:
        """Stop one utterance at once and return what was heard of it."""
        with self._lock:
            return self._cancel([u for u in self._line if u is utterance], reason)

    def stop(self, dialog_id: str, turn: int, reason: str, revision: int = 0) -> str:
        """Stop a turn and everything older, or with an empty dialog id everything.

        Args:
            revision: not 0: of the turn only the revisions of its text before this one.

        Returns:
            What was heard of what was playing.
        """
        with self._lock:
            if not dialog_id:
                self._gate.stop_newest()
                self._drafts.drop()
                return self._cancel(self._line, reason)
            key = TurnKey(dialog_id, turn, revision - 1)
            key = key if revision else whole_turn(key)
            self._gate.stop(key)
            self._drafts.drop(key)
            return self._cancel([
                u for u in self._line if is_covered(u.request.key, key)
                and not (revision and u.request.identity.source is Source.SPEAK)], reason)

    def stop_programs(self, reason: str) -> None:
        """Stop what belongs to no dialog: nobody else silences it when the user calls."""
        with self._lock:
            self._cancel([u for u in self._line
                          if not is_dialog_id(u.request.identity.dialog_id)], reason)

    def pause(self, dialog_id: str, turn: int, how: How, at_most_s: float = 0.0) -> str:
        """Lower or hold what is being spoken, or let it go on from where it was.

        Args:
            dialog_id: whose reply; empty: whatever is being spoken.
            at_most_s: see :meth:`va_tts.pausing.Pausing.set`.

        Returns:
            What was heard of it.

        Raises:
            AssistantError: OUTDATED when that is not being spoken.
        """
        with self._lock:
            head = next(iter(self._line), None)
            if head is None or (dialog_id and not head.request.replies_to(dialog_id, turn)):
                what = f'{dialog_id}/{turn} is not' if dialog_id else 'nothing is'
                raise AssistantError(ErrorCode.OUTDATED, f'tts/pause: {what} being spoken')
            self._pausing.set(head.number, how, at_most_s)
            return head.heard.text(self._now())

    def block(self, error: AssistantError) -> None:
        """End everything, and whatever begins until :meth:`resume`, with an error: no speaker."""
        with self._lock:
            self._blocked = error
            self._drafts.drop()
            for utterance in list(self._line):
                self._end(utterance, Kind.FAILED, error)

    def flush(self, timeout_s: float = 2.0) -> None:
        """Wait until all events so far have been emitted. Raises AssistantError TIMEOUT."""
        self._pump.flush(timeout_s)

    def close(self) -> None:
        """Cancel everything, emit the last events, end the thread; idempotent."""
        with self._lock:
            self._maker.prepare(())
            self._drafts.drop()
            self._cancel(self._line, 'shutting down')
        self._pump.close()

    def change_rate(self, rate: int) -> None:
        """Between :meth:`block` and :meth:`resume`: a device of perhaps another rate."""
        with self._lock:
            self.playout.clear(rate)
            self._pump.call(self._reference.restart, rate)

    def resume(self) -> None:
        """Go on after :meth:`block`."""
        with self._lock:
            self._blocked = None

    def device_underrun(self) -> None:
        """Note that the device ran out of sound; from any thread."""
        self._pump.call(self._device_underrun)

    @property
    def length(self) -> int:
        """Utterances that are queued or playing."""
        with self._lock:
            return len(self._line)

    @property
    def alive(self) -> bool:
        """Whether the thread of the queue runs."""
        return self._pump.alive

    def _stream(self, request: Request, sequence: int, text: str) -> Utterance:
        """The utterance that a chunk belongs to, a new one for the first chunk."""
        wanted = (request.identity.source, request.key)
        for utterance in self._line:
            if (utterance.request.identity.source, utterance.request.key) == wanted:
                if sequence < utterance.next_sequence or utterance.complete:
                    raise refused_chunk(request, sequence, 'it was spoken before')
                return utterance
        if sequence != 0:
            raise refused_chunk(request, sequence, 'its beginning is not being spoken')
        if request.identity.source is Source.REPLY:
            self._gate.reply(request.key)
        if any(utterance.request.outdates(request) for utterance in self._line):
            raise refused_chunk(request, sequence, 'a newer one is being spoken')
        draft = None
        if request.identity.source is Source.REPLY:
            draft = self._drafts.adopt(request, text)
        return self._begin(request, draft)

    def _begin(self, request: Request, draft: Utterance | None = None) -> Utterance:
        """Queue an utterance, perhaps one made ready before; what it outdates is dropped."""
        older = [u for u in self._line if request.outdates(u.request)]
        self._cancel(older, f'{request.identity.utterance_id} is newer')
        if len(self._line) >= MAX_UTTERANCES:
            message = f'{len(self._line)} utterances wait: expected at most {MAX_UTTERANCES}'
            raise AssistantError(ErrorCode.BUSY, message)
        utterance = draft or self._utterance(request)
        self._line.append(utterance)
        if self._blocked is not None:
            self._end(utterance, Kind.FAILED, self._blocked)
            raise self._blocked
        return utterance

    def _utterance(self, request: Request) -> Utterance:
        return Utterance(
            next(self._numbers), request, Heard(self.playout.rate), self._pace, self._clock())

    def _pace(self) -> tuple[float, float]:
        return self.playout.buffered_s(), self._synthesiser.real_time_factor

    def _take_text(self, utterance: Utterance, text: str, is_last: bool) -> None:
        request = utterance.request
        phrase = None
        if is_last and not utterance.length:
            phrase = self._phrases.get(text, request.voice, request.speed)
        if phrase is None:
            utterance.add_text(text, is_last)
        else:
            utterance.add_phrase(text.strip(), resample(phrase, self.playout.rate))
            utterance.note_ready(self._now())
        self._advance()
        self._pump.wake()

    def _advance(self) -> None:
        """Give the worker its next piece, and the device what is ready for it."""
        if self._line:
            self._line[0].send(self.playout)
        unsent = sum(utterance.unsent for utterance in self._line)
        self._maker.kick(self._line, self.playout.buffered_s() + unsent / self.playout.rate)

    def _piece_done(self, job: Job, result: Result) -> None:
        """Called in the worker."""
        samples = None if isinstance(result, AssistantError) else \
            resample(result, self.playout.rate)
        with self._lock:
            utterance = self._find(job.owner) or self._drafts.find(job.owner)
            piece = utterance.pieces[job.index] if utterance is not None else None
            if utterance is None or piece is None or piece.state is PieceState.SENT:
                pass  # dropped, or made again, meanwhile
            elif not isinstance(result, AssistantError):
                piece.state, piece.samples = PieceState.READY, samples
                utterance.note_ready(self._now())
            elif utterance not in self._line:
                self._drafts.failed(piece)
            elif piece.state is PieceState.WORKING:
                self._end(utterance, Kind.FAILED, result)
            self._advance()
        self._pump.wake()

    def _handle(self, report: Report) -> None:
        """Called in the pump."""
        if isinstance(report, FarEnd):
            self._reference.push(report.samples, report.start_s, report.anew)
            return
        with self._lock:
            if isinstance(report, Played):
                self._played(report)
                return
            self._reference.flush()
            if report.held:
                self._held(report.start_s)
                return
            for utterance in self._line:
                utterance.tracker.dry(report.start_s)

    def _held(self, start_s: float) -> None:
        for utterance in self._line[:1]:
            if (event := utterance.tracker.held(start_s)) is not None:
                self._emit_event(event)

    def _played(self, report: Played) -> None:
        utterance = self._find(report.owner)
        if utterance is not None:
            for event in utterance.tracker.played(report.piece, report.start_s, report.frames):
                self._emit_event(event)

    def _tick(self) -> bool:
        """Called in the pump: end what has been heard, let the next one follow."""
        now_s = self._now()
        with self._lock:
            self._pausing.tick()
            self._drafts.drop_stale()
            for utterance in list(self._line):
                if (event := utterance.tracker.progress(now_s)) is not None:
                    self._emit_event(event)
                ending = utterance.ending(now_s, self._clock(), self._stream_timeout_s)
                if ending is not None:
                    self._end(utterance, ending.kind, ending.error, ending.stamp_s)
            self._advance()
            return bool(self._line)

    def _cancel(self, utterances: list[Utterance], reason: str) -> str:
        error = AssistantError(ErrorCode.CANCELLED, f'stopped: {reason}')
        heard = [self._end(utterance, Kind.INTERRUPTED, error) for utterance in list(utterances)]
        return next(filter(None, heard), '')

    def _end(self, utterance: Utterance, kind: Kind, error: AssistantError | None,
             stamp_s: float | None = None) -> str:
        """Take an utterance out, wherever it is; return what was heard of it."""
        self._line.remove(utterance)
        self.playout.cut({utterance.number})
        self._pausing.ended(utterance.number)
        self._synthesiser.abort(utterance.number)
        event = utterance.tracker.event(kind, self._now() if stamp_s is None else stamp_s, error)
        self._emit_event(event)
        outcome = Outcome(event.error_code, event.error_msg, event.text, event.position_s)
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
