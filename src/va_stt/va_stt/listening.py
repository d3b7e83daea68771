# SPDX-License-Identifier: Apache-2.0
"""Keeps the one turn that is listened for, and carries its requests to the engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
import threading
from typing import Any

import numpy as np

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import TurnKey
from va_stt.blocks import Int16
from va_stt.turn_events import Action, JudgeRequest, Kind, TranscribeRequest, TurnEvent
from va_stt.turn_listener import TurnListener, TurnRequest
from va_stt.vad_finalize import VadFrame
from va_stt.whisper_cuda import Transcription

HISTORY_S = 10.0
LOOK_BACK_S = 2.0
CLOCK_STEP_S = 1.0

Submit = Callable[..., 'Future[Any]']
Emit = Callable[[TurnEvent], None]
Read = Callable[[float, float], Int16]


class Listening:
    """The turn in progress, fed by the audio thread, the engines' workers and the services.

    Thread-safe; events of a turn are emitted in order, FINAL last.

    Args:
        read: gives [from_s, to_s) of the microphone.
        transcribe: runs in its worker; with ``quick=True`` for what most likely has no words.
        submit_transcribe: puts a call into the transcription worker.
        judge: probability of an end, 0 to 1; None without smart endpointing.
        submit_judge: puts a call into the worker of ``judge``.
    """

    def __init__(self, read: Read, transcribe: Callable[..., Transcription],
                 submit_transcribe: Submit, judge: Callable[[Int16], float] | None = None,
                 submit_judge: Submit | None = None) -> None:
        self._read = read
        self._transcribe = transcribe
        self._submit_transcribe = submit_transcribe
        self._judge = judge
        self._submit_judge = submit_judge
        self._lock = threading.RLock()
        self._history: deque[VadFrame] = deque()
        self._turn: TurnListener | None = None
        self._emit: Emit | None = None
        self._latest = TurnKey('')
        self._transcribing = 0
        self._asked: tuple[TurnListener, TranscribeRequest] | None = None
        """What the worker makes next; one thing, because an older one is outdated."""
        self._made: tuple[TurnListener, TranscribeRequest] | None = None
        """What it makes, or has made; its one thread takes the text before it makes the next."""

    @property
    def current(self) -> TurnKey | None:
        """The turn that is being listened for; None: nobody asked."""
        with self._lock:
            return None if self._turn is None else self._turn.key

    def start(self, request: TurnRequest, emit: Emit) -> None:
        """Listen for a turn of a dialog; sound since ``listen_from_s`` is caught up at once.

        Asking again for the turn in progress changes nothing, unless it is asked for in another
        way: then it begins anew, in a new revision and without a FINAL of the old one.

        Raises:
            AssistantError: OUTDATED when a newer turn has been asked for.
        """
        with self._lock:
            key = request.key
            if key < replace(self._latest, revision=0):
                message = f'stt/start {key.dialog_id}/{key.turn}: outdated, ' \
                          f'{self._latest.dialog_id}/{self._latest.turn} came later'
                raise AssistantError(ErrorCode.OUTDATED, message)
            turn = self._turn
            if turn is not None and replace(turn.key, revision=0) == key:
                if turn.is_asked_by(request):
                    return
                self._turn = self._emit = None
            if key == replace(self._latest, revision=0):
                request = replace(request, key=replace(self._latest,
                                                       revision=self._latest.revision + 1))
            self._replace(request, emit)
            self._latest = request.key

    def start_apart(self, request: TurnRequest, emit: Emit) -> None:
        """Listen for an utterance outside dialogs; a dialog's turn may replace it.

        Raises:
            AssistantError: BUSY while anything is being listened for.
        """
        with self._lock:
            if self._turn is not None:
                message = f'stt/listen: busy with {self._turn.key.dialog_id}'
                raise AssistantError(ErrorCode.BUSY, message)
            self._replace(request, emit)

    def stop(self, dialog_id: str, turn: int, reason: str) -> None:
        """Stop the turn, or an older one; with an empty id whatever is in progress.

        Raises:
            AssistantError: OUTDATED when a newer turn is in progress; it goes on.
        """
        with self._lock:
            current = self.current
            if current is None:
                return
            if dialog_id and TurnKey(dialog_id, turn) < replace(current, revision=0):
                message = f'stt/stop {dialog_id}/{turn}: outdated, now listening for ' \
                          f'{current.dialog_id}/{current.turn}'
                raise AssistantError(ErrorCode.OUTDATED, message)
            self._act(self._turn_or_fail().stop(reason or 'stop'))

    def fail(self, error: AssistantError) -> None:
        """The microphone is lost: the turn in progress ends with OUTCOME_FAILED."""
        with self._lock:
            if self._turn is not None:
                self._act(self._turn.fail(error))

    def on_frame(self, frame: VadFrame) -> None:
        """Take the next 32 ms, from the audio thread."""
        with self._lock:
            self._notice_clock(frame)
            self._history.append(frame)
            while self._history[0].end_s < frame.end_s - HISTORY_S:
                self._history.popleft()
            if self._turn is not None:
                self._act(self._turn.on_frame(frame))

    def _notice_clock(self, frame: VadFrame) -> None:
        """A turn would wait until the time that it began at comes again."""
        if not self._history:
            return
        back_s = self._history[-1].end_s - frame.end_s
        if back_s > CLOCK_STEP_S:
            self._history.clear()
            self.fail(AssistantError(
                ErrorCode.INTERNAL, f'the clock of the computer was set back by {back_s:.0f} s'))

    def _turn_or_fail(self) -> TurnListener:
        assert self._turn is not None
        return self._turn

    def _replace(self, request: TurnRequest, emit: Emit) -> None:
        if self._turn is not None:
            self._act(self._turn.stop('replaced'))
        self._turn, self._emit = TurnListener(request), emit
        for frame in list(self._history):
            if self._turn is not None and frame.start_s >= request.listen_from_s - LOOK_BACK_S:
                self._act(self._turn.on_frame(frame))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, TurnEvent):
                self._tell(action)
            elif isinstance(action, TranscribeRequest):
                self._ask_text(action)
            else:
                self._ask_judgement(action)

    def _tell(self, event: TurnEvent) -> None:
        if self._turn is not None and self._turn.key.dialog_id == self._latest.dialog_id:
            self._latest = max(self._latest, event.key)
        emit = self._emit
        if event.kind is Kind.FINAL:
            self._turn = self._emit = None
        if emit is not None:
            emit(event)

    # Engines ----------------------------------------------------------------------------------

    def _ask_text(self, request: TranscribeRequest) -> None:
        turn = self._turn_or_fail()
        if request.glimpse and self._transcribing:
            return  # on a slow machine the text of the next pause comes first
        waits, self._asked = self._asked is not None, (turn, request)
        if waits:
            return
        try:
            job = self._submit_transcribe(self._run_transcribe)
        except AssistantError as error:
            self._asked = None
            self._act([] if request.glimpse else turn.fail(error))
            return
        self._transcribing += 1
        job.add_done_callback(self._take_text)

    def _ask_judgement(self, request: JudgeRequest) -> None:
        if self._judge is None or self._submit_judge is None:
            return
        turn = self._turn_or_fail()
        try:
            job = self._submit_judge(self._run_judge, turn, request)
        except AssistantError:
            return  # patience, or silence_ms, decides
        job.add_done_callback(
            lambda done: self._take(turn, done, turn.on_judgement, request.revision))

    def _run_transcribe(self) -> Transcription | None:
        with self._lock:
            assert self._asked is not None
            (turn, request), self._asked = self._asked, None
            self._made = turn, request
        if not turn.wants(request.revision):
            return None
        sound = self._read(request.from_s, request.to_s)
        return self._transcribe(sound, quick=True) if request.quick else self._transcribe(sound)

    def _run_judge(self, turn: TurnListener, request: JudgeRequest) -> float | None:
        if self._judge is None or not turn.wants(request.revision):
            return None
        return self._judge(np.concatenate([self._read(*s) for s in request.stretches]))

    def _take_text(self, done: Future[Any]) -> None:
        with self._lock:
            self._transcribing -= 1
            if done.cancelled():
                self._made, self._asked = self._asked, None
            assert self._made is not None
            turn, request = self._made
        handle = turn.on_glimpse if request.glimpse else turn.on_text
        self._take(turn, done, handle, request.revision)

    def _take(self, turn: TurnListener, done: Future[Any],
              handle: Callable[[int, Any], list[Action]], revision: int) -> None:
        """A worker's result; runs in its thread."""
        with self._lock:
            if self._turn is not turn:
                return
            try:
                result = done.result()
            except CancelledError:
                self._act(turn.stop('the node stops'))
                return
            except Exception as error:
                self._act(turn.fail(error_of(error)) if turn.wants(revision) else [])
                return
            if result is not None:
                self._act(handle(revision, result))
