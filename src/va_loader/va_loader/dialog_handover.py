# SPDX-License-Identifier: Apache-2.0
"""Hands a turn over to a restarted llm or tts: by calls, since only an answer proves arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from va_common.errors import ErrorCode
from va_common.ids import TurnKey
from va_common.races import cancel
from va_interfaces.msg import ChatMessage, ReplyChunk
from va_interfaces.srv import ContinueReply, ResumeDialog
from va_loader.dialog_commands import AskAgain, PassOn
from va_loader.dialog_events import ReplayFailed
from va_loader.ros_bridge import call

CALL_TIMEOUT_S = 2.0
TIMEOUT_S = 30.0
"""From the first attempt of a call to giving it up."""
PAUSE_S = 0.1
_NOT_YET = (int(ErrorCode.UNAVAILABLE), int(ErrorCode.NOT_ACTIVE), int(ErrorCode.BUSY))
_LISTENERS = ('loader', 'tts')


class _Stream:
    """What of one reply has not been passed on yet."""

    def __init__(self) -> None:
        self.text = ''
        self.is_last = False
        self.more = asyncio.Event()

    def add(self, piece: PassOn) -> None:
        self.text += piece.text
        self.is_last = self.is_last or piece.is_last
        self.more.set()

    async def take(self) -> tuple[str, bool]:
        """What has gathered, and whether it is the end."""
        await self.more.wait()
        self.more.clear()
        text, self.text = self.text, ''
        return text, self.is_last


class Handover:
    """Runs the calls as tasks of the loop; all methods are called in its thread.

    Args:
        node: makes the clients.
        failed: told what could not be handed over.
    """

    def __init__(self, node: Node, failed: Callable[[ReplayFailed], None]) -> None:
        group = ReentrantCallbackGroup()
        self._resume = node.create_client(ResumeDialog, 'llm/resume', callback_group=group)
        self._continue = node.create_client(ContinueReply, 'tts/continue', callback_group=group)
        self._failed = failed
        self._streams: dict[TurnKey, _Stream] = {}
        self._tasks: dict[asyncio.Task[None], TurnKey] = {}

    def ask_again(self, command: AskAgain) -> None:
        """Have llm answer; with an empty text, only tell it what was said."""
        self._run(command.key, self._ask(command))

    def pass_on(self, command: PassOn) -> None:
        """Have tts speak the next piece of a reply."""
        stream = self._streams.get(command.key)
        if stream is None:
            stream = self._streams[command.key] = _Stream()
            self._run(command.key, self._follow(command.key, stream))
        stream.add(command)

    def drop(self, newest: TurnKey) -> None:
        """Stop everything for this turn up to this revision, and for older turns."""
        for task, key in list(self._tasks.items()):
            if key <= newest:
                task.cancel()

    async def close(self) -> None:
        """Cancel what runs."""
        await cancel(*self._tasks)

    def _run(self, key: TurnKey, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = key
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        key = self._tasks.pop(task)
        if key not in self._tasks.values():
            self._streams.pop(key, None)

    async def _ask(self, command: AskAgain) -> None:
        key = command.key
        history = [ChatMessage(role=role, content=text) for said in command.said
                   for role, text in (('user', said.user), ('assistant', said.assistant)) if text]
        problem = await self._insist(self._resume, ResumeDialog.Request(
            dialog_id=key.dialog_id, turn=key.turn, revision=key.revision, text=command.text,
            history=history, listeners=list(_LISTENERS)))
        if problem and command.text:
            self._failed(ReplayFailed(key, 'llm', f'llm/resume: {problem}'))

    async def _follow(self, key: TurnKey, stream: _Stream) -> None:
        sequence, is_last = 0, False
        while not is_last:
            text, is_last = await stream.take()
            chunk = ReplyChunk(
                dialog_id=key.dialog_id, turn=key.turn, revision=key.revision,
                sequence=sequence, text=text, is_last=is_last)
            problem = await self._insist(self._continue, ContinueReply.Request(chunk=chunk))
            if problem:
                self._failed(ReplayFailed(key, 'tts', f'tts/continue: {problem}'))
                return
            sequence += 1

    async def _insist(self, client: Any, request: Any) -> str:
        """Call until it is taken; why it was not, or nothing."""
        loop = asyncio.get_running_loop()
        deadline, repeated = loop.time() + TIMEOUT_S, False
        while True:
            try:
                answer = await call(client, request, CALL_TIMEOUT_S)
            except asyncio.TimeoutError:
                # It may have arrived, and its answer not.
                repeated, problem = True, 'no answer'
            else:
                problem = str(answer.error_msg) or f'error {answer.error_code}'
                if not answer.error_code or (
                        repeated and answer.error_code == int(ErrorCode.OUTDATED)):
                    return ''
                if answer.error_code not in _NOT_YET:
                    return problem
            if loop.time() >= deadline:
                return f'{problem}, for {TIMEOUT_S:g} s'
            await asyncio.sleep(PAUSE_S)
