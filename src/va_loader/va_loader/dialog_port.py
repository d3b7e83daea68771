# SPDX-License-Identifier: Apache-2.0
"""Carries out the dialog manager's commands over ROS, and answers with events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TYPE_CHECKING
from weakref import WeakValueDictionary

from rclpy.callback_groups import ReentrantCallbackGroup

from va_common.action_client import SafeActionClient
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.races import cancel
from va_common.ros_time import to_msg
from va_interfaces.action import Speak as SpeakAction
from va_interfaces.msg import PlaybackEvent
from va_interfaces.srv import Cancel, Pause
from va_interfaces.srv import StartListening as StartService
from va_interfaces.srv import StopListening as StopService
from va_loader.dialog_commands import (
    AskAgain,
    CancelSpeak,
    Command,
    DropAttempt,
    LogLine,
    OpenDialog,
    PassOn,
    PauseReply,
    PublishReport,
    ShowState,
    Speak,
    StartListening,
    StopListening,
    StopReply,
    WriteRecord,
)
from va_loader.dialog_events import Event, ListenFailed, SpeakBegun, SpeakEnded
from va_loader.dialog_handover import Handover
from va_loader.ros_bridge import answer_of, call

if TYPE_CHECKING:
    from va_loader.node import LoaderNode

CALL_TIMEOUT_S = 2.0
GOAL_TIMEOUT_S = 3.0
"""From a goal to its acceptance."""
SERVER_TIMEOUT_S = 5.0
"""How long a node that has just been restarted may be unknown."""
_ANY_REVISION = 1 << 32
_POLL_S = 0.05
_ATTEMPTS = 2
"""Of a call that may be made twice; the answer to the first may be lost after a restart."""


class DialogPort:
    """Executes commands; never blocks: calls run as tasks of the loop.

    Args:
        node: the loader's node.
        loop: where the calls run.
        post: takes the events that answer.
    """

    def __init__(self, node: LoaderNode, loop: asyncio.AbstractEventLoop,
                 post: Callable[[Event], None]) -> None:
        self._node = node
        self._loop = loop
        self._post = post
        self._phrases: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._silencing: WeakValueDictionary[TurnKey, asyncio.Lock] = WeakValueDictionary()
        """Held while tts is told to be silent in that turn; newer ones are not concerned."""
        self._closed = False
        group = ReentrantCallbackGroup()
        self._start = node.create_client(StartService, 'stt/start', callback_group=group)
        self._stop = node.create_client(StopService, 'stt/stop', callback_group=group)
        self._cancels = {
            name: node.create_client(Cancel, f'{name}/stop', callback_group=group)
            for name in ('llm', 'tts')}
        self._pauses = node.create_client(Pause, 'tts/pause', callback_group=group)
        self._handover = Handover(node, post)
        self._speak = SafeActionClient(node, SpeakAction, 'tts/speak', callback_group=group)
        self._execute: dict[type, Callable[[Any], object]] = {
            StartListening: lambda c: self._run(self._start_listening(c)),
            StopListening: lambda c: self._run(self._stop_listening(c)),
            StopReply: self._stop_reply,
            PauseReply: lambda c: self._run(self._pause(c)),
            DropAttempt: self._drop_attempt,
            AskAgain: lambda c: loop.call_soon_threadsafe(self._handover.ask_again, c),
            PassOn: lambda c: loop.call_soon_threadsafe(self._handover.pass_on, c),
            Speak: lambda c: loop.call_soon_threadsafe(self._begin_phrase, c),
            CancelSpeak: lambda c: loop.call_soon_threadsafe(self._cancel_phrase, c),
            OpenDialog: lambda c: node.logging_client.new_dialog(c.dialog_id),
            WriteRecord: self._write,
            ShowState: lambda c: node.board.show_dialog(c.name, c.key, c.reason),
            PublishReport: lambda c: node.publish_report(c.report),
            LogLine: lambda c: getattr(node.log, c.level)(c.text),
        }

    def execute(self, command: Command) -> None:
        """Carry out one command, from any thread."""
        self._execute[type(command)](command)

    async def speak(self, text: str, key: TurnKey = TurnKey(''),
                    begun: Callable[[], None] | None = None) -> None:
        """Have a phrase spoken and wait for its end; when cancelled, it stops.

        Args:
            begun: told when it is heard, in a thread of the executor.

        Raises:
            AssistantError: it was not spoken to its end.
        """
        await self._find_speaker()
        goal = SpeakAction.Goal(text=text, dialog_id=key.dialog_id, turn=key.turn, interrupt=True)
        sent = self._speak.send_goal_async(goal, _when_started(begun))
        try:
            handle = await answer_of(sent, GOAL_TIMEOUT_S)
        except (asyncio.TimeoutError, asyncio.CancelledError) as error:
            sent.add_done_callback(_cancel_late_goal)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise AssistantError(ErrorCode.TIMEOUT, 'tts/speak: goal not answered') from error
        if not handle.accepted:
            raise AssistantError(ErrorCode.UNAVAILABLE, 'tts/speak: goal refused')
        await self._result_of(handle)

    async def _find_speaker(self) -> None:
        deadline = self._loop.time() + SERVER_TIMEOUT_S
        while not self._speak.server_is_ready():
            if self._loop.time() >= deadline:
                raise AssistantError(ErrorCode.UNAVAILABLE, 'tts/speak: no such action server')
            await asyncio.sleep(_POLL_S)

    async def close(self) -> None:
        """Cancel what runs."""
        self._closed = True
        await self._handover.close()
        await cancel(*self._tasks, *self._phrases.values())

    async def _result_of(self, handle: Any) -> None:
        try:
            result = (await answer_of(handle.get_result_async())).result
        except asyncio.CancelledError:
            handle.cancel_goal_async()
            raise
        if result.error_code:
            raise AssistantError(_code(result.error_code), result.error_msg)

    # Phrases: in the loop's thread -------------------------------------------------------------

    def _begin_phrase(self, command: Speak) -> None:
        task = self._loop.create_task(self._phrase(command))
        self._phrases[command.token] = task
        task.add_done_callback(lambda done: self._phrases.pop(command.token, None))

    def _cancel_phrase(self, command: CancelSpeak) -> None:
        task = self._phrases.get(command.token)
        if task is not None:
            task.cancel()

    async def _phrase(self, command: Speak) -> None:
        async with self._silencing_of(command.key):
            pass  # a stop that overtakes what is said after it would silence that, too
        try:
            await self.speak(command.text, command.key,
                             lambda: self._post(SpeakBegun(command.token)))
        except AssistantError as error:
            self._post(SpeakEnded(command.token, int(error.code), error.message))
        else:
            self._post(SpeakEnded(command.token))

    # Services -----------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop.call_soon_threadsafe(self._keep, work)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_listening(self, command: StartListening) -> None:
        key = command.key
        request = StartService.Request(
            dialog_id=key.dialog_id, turn=key.turn, listen_from=to_msg(command.listen_from_s),
            wake_phrase=command.wake_phrase,
            no_speech_timeout_ms=round(command.no_speech_timeout_s * 1000),
            over_playback=command.over_playback, stop_phrases=list(command.stop_phrases))
        # Asking again for the same turn changes nothing.
        problem = await self._call('stt/start', self._start, request, _ATTEMPTS)
        if problem:
            self._post(ListenFailed(key, problem))

    async def _stop_listening(self, command: StopListening) -> None:
        request = StopService.Request(
            dialog_id=command.key.dialog_id, turn=command.key.turn, reason=command.reason)
        await self._call('stt/stop', self._stop, request)

    def _drop_attempt(self, command: DropAttempt) -> None:
        key = command.key
        self._drop_handover(key, key.revision - 1)
        self._run(self._cancel('tts/stop', self._cancels['tts'], Cancel.Request(
            dialog_id=key.dialog_id, turn=key.turn, revision=key.revision,
            reason=command.reason)))

    def _drop_handover(self, key: TurnKey, revision: int) -> None:
        newest = TurnKey(key.dialog_id, key.turn, revision)
        self._loop.call_soon_threadsafe(self._handover.drop, newest)

    def _stop_reply(self, command: StopReply) -> None:
        self._drop_handover(command.key, _ANY_REVISION)
        request = Cancel.Request(
            dialog_id=command.key.dialog_id, turn=command.key.turn, reason=command.reason)
        for name, client in self._cancels.items():
            self._run(self._cancel(f'{name}/stop', client, request))

    async def _pause(self, command: PauseReply) -> None:
        request = Pause.Request(
            dialog_id=command.key.dialog_id, turn=command.key.turn, what=int(command.how))
        await self._call('tts/pause', self._pauses, request)

    async def _cancel(self, name: str, client: Any, request: Any) -> None:
        if name != 'tts/stop':
            await self._call(name, client, request)
            return
        async with self._silencing_of(TurnKey(request.dialog_id, request.turn)):
            await self._call(name, client, request)

    def _silencing_of(self, key: TurnKey) -> asyncio.Lock:
        return self._silencing.setdefault(replace(key, revision=0), asyncio.Lock())

    async def _call(self, name: str, client: Any, request: Any, attempts: int = 1) -> str:
        """Call a service of a node; what went wrong, for a person, or nothing."""
        problem = ''
        for _ in range(attempts):
            try:
                answer = await call(client, request, CALL_TIMEOUT_S)
            except asyncio.TimeoutError:
                problem = f'{name}: no answer in {CALL_TIMEOUT_S:g} s'
                continue
            problem = f'{name}: {answer.error_msg}' if answer.error_code else ''
            break
        if problem:
            self._node.log.warning(problem)
        return problem

    def _write(self, command: WriteRecord) -> None:
        self._node.logging_client.dialog(
            command.key.dialog_id, command.key.turn, command.role, command.text,
            dict(command.data), command.stamp_s)


def _when_started(begun: Callable[[], None] | None) -> Callable[[Any], None] | None:
    """Feedback of tts/speak to the one who wants to know when it is heard."""
    if begun is None:
        return None

    def take(message: Any) -> None:
        if message.feedback.event.kind == PlaybackEvent.STARTED:
            begun()
    return take


def _cancel_late_goal(sent: Any) -> None:
    """A goal that nobody waits for any more is accepted after all: stop it."""
    handle = sent.result()
    if handle is not None and handle.accepted:
        handle.cancel_goal_async()


def _code(number: int) -> ErrorCode:
    return ErrorCode(number) if number in list(ErrorCode) else ErrorCode.INTERNAL
