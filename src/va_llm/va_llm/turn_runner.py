# SPDX-License-Identifier: Apache-2.0
"""Answers turns one at a time: a newer turn stops an older one, a turn stops a free completion.

While nobody waits it drafts the answer to what may be all that the user says, see
:mod:`va_llm.draft`; a draft gives way to everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
import threading
from typing import Final

from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import Latest, TurnKey
from va_common.worker import Worker
from va_llm.draft import Draft
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Completion, Deadlines, TextEngine
from va_llm.history import History
from va_llm.reply_writer import cancelled, ReplyPiece, ReplyWriter

MAX_TEXT: Final = 8000
"""Letters of one message; more is not speech."""
MAX_REPLY: Final = 19_000
"""Letters at which a reply ends, whatever the engine was asked for: 20 minutes. tts takes 20 000.
"""
_QUEUE: Final = 8
_STOP_TIMEOUT_S: Final = 5.0


@dataclass
class _Job:
    """What runs or waits: a turn (with a key) or a free completion."""

    cancel: CancelToken = field(default_factory=CancelToken)
    key: TurnKey | None = None
    draft: Draft | None = None

    @property
    def may_be_wanted(self) -> bool:
        """Whether nobody has asked for it yet."""
        return self.draft is not None and not self.draft.promoted


class TurnRunner:
    """Feeds one engine from one worker thread behind a bounded queue.

    Args:
        engine: the loaded model.
        prefix: messages that every conversation begins with.
        history: what was said.
        deadlines: for :meth:`stuck`.
        publish: takes the pieces of the replies, in the worker's thread.
        max_tokens: longest answer, asked before each.
        clock: steady seconds.
    """

    def __init__(self, engine: TextEngine, prefix: tuple[ChatMessage, ...], history: History,
                 deadlines: Deadlines, publish: Callable[[ReplyPiece], None],
                 max_tokens: Callable[[], int], clock: Callable[[], float]) -> None:
        self.engine = engine
        self.history = history
        self.prefix = prefix
        self._deadlines = deadlines
        self._publish = publish
        self._max_tokens = max_tokens
        self._clock = clock
        self._latest = Latest()
        self._stopped = ('', 0)
        self._halted = False
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._jobs: list[_Job] = []
        self._draft: Draft | None = None
        self._running_since: float | None = None
        self._last_token: float | None = None
        self.last_done = clock()
        """When the engine last ended a generation well."""
        self._worker = Worker('llm', _QUEUE)

    def answer(self, key: TurnKey, text: str) -> Future[Completion]:
        """Answer what the user said in a turn; older turns stop.

        Raises:
            AssistantError: INVALID_ARGUMENT (empty or huge text), OUTDATED, BUSY.
        """
        _check_text(text)
        self._check_wanted(key)
        if not self._latest.offer(key):
            raise _outdated(key)
        with self._lock:
            self._halted = False
        draft = self._promote(key, text)
        why = f'turn {key.dialog_id}/{key.turn} goes before'
        if draft is None:
            self.drop_draft(why)
        with self._lock:
            older = [job for job in self._jobs if draft is None or job.draft is not draft]
        for other in older:
            other.cancel.cancel(why)
        if draft is not None:
            return draft.future
        job = _Job(key=key)
        return self._submit(job, self._run_turn, job, key, text)

    def draft(self, key: TurnKey, text: str, wait_s: float,
              tell: Callable[[ReplyPiece], None]) -> Future[Completion] | None:
        """Begin to answer what may be all that the user says; an earlier draft is dropped.

        Args:
            wait_s: begin so many seconds from now, or when :meth:`answer` asks for it.
            tell: takes the pieces of the draft; once it is asked for they are published.

        Returns:
            None: there is something else to do.

        Raises:
            AssistantError: INVALID_ARGUMENT, OUTDATED, BUSY.
        """
        _check_text(text)
        self._check_wanted(key)
        self.drop_draft(f'{key.dialog_id}/{key.turn} revision {key.revision} is newer')
        with self._lock:
            if any(not job.may_be_wanted for job in self._jobs):
                return None
        said = self.history.ahead(key.dialog_id, key.turn, text)
        draft = Draft(key, text, said, tell, self._clock)
        job = _Job(draft.cancel, key, draft)
        draft.future = self._submit(job, self._run_draft, job, draft, wait_s)
        self._draft = draft
        return draft.future

    def drop_draft(self, reason: str, up_to: TurnKey | None = None) -> None:
        """Give the draft up, if there is one that was not asked for yet.

        Args:
            up_to: not if it is of a newer turn or revision than this.
        """
        draft = self._draft
        if draft is not None and (up_to is None or draft.key <= up_to):
            self._draft = None
            draft.drop(reason)

    def _promote(self, key: TurnKey, text: str) -> Draft | None:
        draft = self._draft
        said = self.history.ahead(key.dialog_id, key.turn, text)
        if draft is None or not draft.answers(key, text, said):
            return None
        self.history.begin(key.dialog_id, key.turn, text)
        keep = partial(self.history.answer, key.dialog_id, key.turn)
        if not draft.promote(self._publish, keep):
            return None
        self._draft = None
        return draft

    def _check_wanted(self, key: TurnKey) -> None:
        if (key.dialog_id, key.turn) <= self._stopped:
            message = f'turn {key.dialog_id}/{key.turn}: has been stopped'
            raise AssistantError(ErrorCode.OUTDATED, message)
        if key < self._latest.key:
            raise _outdated(key)

    def complete(self, request: ChatRequest, on_text: Callable[[str], None],
                 cancel: CancelToken) -> Future[Completion]:
        """Answer messages outside any dialog, after what is running.

        Raises:
            AssistantError: BUSY.
        """
        with self._lock:
            drafting = any(job.may_be_wanted for job in self._jobs)
        if drafting:
            self.drop_draft('a completion goes before')
        job = _Job(cancel)
        return self._submit(job, self._generate, request, on_text, job)

    def stop(self, dialog_id: str, turn: int, reason: str) -> int:
        """Stop a turn and everything older; with an empty dialog_id everything.

        A transcript of such a turn that arrives later is refused.

        Returns:
            How many generations were stopped.
        """
        with self._lock:
            self._stopped = max(self._stopped, (dialog_id, turn))
            jobs = [job for job in self._jobs if _is_meant(job, dialog_id, turn)]
        draft = self._draft
        if draft is not None and _is_meant(_Job(key=draft.key), dialog_id, turn):
            self.drop_draft(reason or 'stopped')
        for job in jobs:
            job.cancel.cancel(reason or 'stopped')
        return len(jobs)

    def halt(self, reason: str) -> None:
        """Stop everything because the node goes: the replies end as lost, not as stopped."""
        with self._lock:
            self._halted = True
        self.stop('', 0, reason)

    def probe(self) -> Future[Completion]:
        """Generate one token of an ordinary conversation: proves the engine, warms its cache."""
        messages = (*self.prefix, ChatMessage('user', 'Hello!'))
        return self.complete(ChatRequest(messages, max_tokens=1), lambda text: None, CancelToken())

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        with self._lock:
            return bool(self._jobs)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing runs or waits. False: time ran out."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._jobs, timeout_s)

    def stuck(self) -> str | None:
        """Why the running generation counts as hung; None when none does.

        The engines keep the deadlines themselves where they can; this is for an engine that is
        stuck in native code. A little is added so that the engine's own error comes first.
        """
        with self._lock:
            since, last = self._running_since, self._last_token
        if since is None:
            return None
        limit_s = self._deadlines.first_token_s if last is None else self._deadlines.token_s
        waited_s = self._clock() - (since if last is None else last)
        if waited_s <= limit_s + 1.0:
            return None
        return f'{self.engine.name}: no token for more than {limit_s:g} s'

    def close(self) -> None:
        """Stop everything and end the thread.

        Raises:
            AssistantError: TIMEOUT when the engine does not give up its generation.
        """
        self.halt('the node goes down')
        self._worker.stop(_STOP_TIMEOUT_S)

    def _submit(self, job: _Job, function: Callable[..., Completion],
                *args: object) -> Future[Completion]:
        with self._lock:
            self._jobs.append(job)
        try:
            future = self._worker.submit(function, *args)
        except AssistantError:
            self._forget(job)
            raise
        future.add_done_callback(lambda _: self._forget(job))
        return future

    def _forget(self, job: _Job) -> None:
        with self._lock:
            if job in self._jobs:
                self._jobs.remove(job)
            self._idle.notify_all()

    def _run_turn(self, job: _Job, key: TurnKey, text: str) -> Completion:
        writer = ReplyWriter(key, self._publish, self._clock)
        messages = self.prefix + self.history.begin(key.dialog_id, key.turn, text)
        try:
            completion = self._generate(ChatRequest(messages, self._max_tokens()), writer.write,
                                        job)
        except Exception as error:
            writer.end(error_of(error))
            raise
        finally:
            self.history.answer(key.dialog_id, key.turn, writer.text)
        stopped = completion.finish_reason == 'cancelled'
        writer.end(self._stop_error(job) if stopped else None)
        return completion

    def _run_draft(self, job: _Job, draft: Draft, wait_s: float) -> Completion:
        draft.wait(wait_s)
        request = ChatRequest(self.prefix + draft.said, self._max_tokens())
        try:
            completion = self._generate(request, draft.write, job)
        except Exception as error:
            draft.end(error_of(error))
            raise
        stopped = completion.finish_reason == 'cancelled'
        draft.end(self._stop_error(job) if stopped else None)
        return completion

    def _stop_error(self, job: _Job) -> AssistantError:
        if self._halted:
            return AssistantError(ErrorCode.UNAVAILABLE, job.cancel.reason)
        return cancelled(job.cancel.reason)

    def _generate(self, request: ChatRequest, on_text: Callable[[str], None],
                  job: _Job) -> Completion:
        if job.cancel.cancelled:
            return Completion('cancelled')

        length = 0

        def take(text: str) -> None:
            nonlocal length
            with self._lock:
                self._last_token = self._clock()
            if job.cancel.cancelled:
                return
            room = MAX_REPLY - length
            length += len(text)
            if job.key is None or length <= MAX_REPLY:
                on_text(text)
                return
            on_text(text[:room])
            job.cancel.cancel(f'the reply is longer than {MAX_REPLY} letters')

        with self._lock:
            self._running_since, self._last_token = self._clock(), None
        try:
            completion = self.engine.generate(request, take, job.cancel)
        finally:
            with self._lock:
                self._running_since = None
        self.last_done = self._clock()
        if job.key is not None and length > MAX_REPLY:  # its end, as that of max_tokens is
            return replace(completion, finish_reason='length')
        return completion


def _is_meant(job: _Job, dialog_id: str, turn: int) -> bool:
    if not dialog_id:
        return True
    # Free completions belong to no dialog; only a stop of everything is meant for them.
    return job.key is not None and (job.key.dialog_id, job.key.turn) <= (dialog_id, turn)


def _outdated(key: TurnKey) -> AssistantError:
    message = f'turn {key.dialog_id}/{key.turn}: a newer turn has been asked for'
    return AssistantError(ErrorCode.OUTDATED, message)


def _check_text(text: str) -> None:
    if not text.strip():
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, 'text is empty; expected what was said')
    if len(text) > MAX_TEXT:
        message = f'text of {len(text)} letters; expected at most {MAX_TEXT}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
