# SPDX-License-Identifier: Apache-2.0
"""The ROS side of the command line: one call each, every wait with a deadline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
import os
import queue
import threading
import time
import traceback
from types import TracebackType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor

from va_common import local_only, qos
from va_common.action_client import SafeActionClient
from va_common.errors import AssistantError, ErrorCode
from va_common.health import ask, HealthState
from va_common.ports import PORTS
from va_common.ros_time import to_msg
from va_common.spinning import Spinner
from va_interfaces.action import Complete, Speak
from va_interfaces.msg import AssistantState, ChatMessage, ReplyChunk
from va_interfaces.srv import GetPids, StopAssistant, TriggerWake

FIND_TIMEOUT_S = 10.0
"""For the first answer: DDS discovery takes 2.3 s at times, longer on a loaded machine."""
CALL_TIMEOUT_S = 5.0
WARNINGS_TIMEOUT_S = 4.0
"""Discovery, and the period of a second in which every node publishes its diagnostics."""
SPEAK_TIMEOUT_S = 300.0
TOKEN_TIMEOUT_S = 60.0


class CliClient:
    """A short-lived node that talks to one assistant; use it in a ``with`` statement."""

    def __init__(self, namespace: str) -> None:
        local_only.apply(os.environ.get('VA_DDS', 'local'))
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._namespace = namespace
        self._node = rclpy.create_node(
            f'_va_cli_{os.getpid()}', namespace=namespace or None, context=self._context,
            enable_rosout=False, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        self._spinner = Spinner(executor, traceback.print_exception)

    def __enter__(self) -> CliClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._spinner.stop(1.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def status(self, facts: dict[str, object]) -> str:
        """What the assistant does, and what is wrong with it, for a person."""
        warnings = _Warnings(self._node, self._namespace)
        state = self._state()
        answer = self._call(GetPids, 'loader/get_pids', GetPids.Request())
        ports = facts.get('ports')
        offset = min(ports) - min(PORTS.values()) if isinstance(ports, list) and ports else 0
        rows = [('state', f'{state.name} ({state.phase})'), ('reason', state.reason),
                ('profile', state.profile), ('VRAM', state.vram)]
        if state.dialog_id:
            rows.append(('dialog', f'{state.dialog_id}, turn {state.turn}'))
        processes = {name: _Process(pid, PORTS[name] + offset)
                     for name, pid in zip(answer.names, answer.pids, strict=True)}
        told = warnings.of([name for name, process in processes.items() if process.serves])
        rows += [(name, process.sentence(told.get(name, '')))
                 for name, process in processes.items()]
        return '\n'.join(f'{name:<8} {value}' for name, value in rows if value)

    def say(self, text: str) -> str:
        """Have a text spoken; returns what was heard of it."""
        handle = self._goal(Speak, 'tts/speak', Speak.Goal(text=text), lambda feedback: None)
        result = self._result(handle, SPEAK_TIMEOUT_S)
        return f'spoken: {result.heard or text} ({result.duration_s:.1f} s)'

    def ask(self, text: str, speak: bool) -> Iterator[str]:
        """Ask the language model; yields the answer piece by piece."""
        pieces: queue.Queue[ReplyChunk | None] = queue.Queue(10_000)
        stream = self._node.create_publisher(ReplyChunk, 'tts/stream', qos.EVENTS)
        goal = Complete.Goal(
            messages=[ChatMessage(role='user', content=text)], max_tokens=0, temperature=-1.0)
        handle = self._goal(
            Complete, 'llm/complete', goal, lambda feedback: pieces.put(feedback.feedback.chunk))
        ended = handle.get_result_async()
        ended.add_done_callback(lambda done: pieces.put(None))
        spoken = _Spoken(f'cli-{os.getpid()}')
        shown = ''
        while (chunk := self._next(pieces, handle)) is not None:
            shown += chunk.text
            if speak and chunk.text:
                stream.publish(spoken.chunk(chunk.text, False))
            yield chunk.text
        result = ended.result().result
        if speak:
            stream.publish(spoken.chunk('', True))
        _require_ok('llm/complete', result)
        if result.text.startswith(shown) and len(result.text) > len(shown):
            yield result.text[len(shown):]

    def wake(self) -> str:
        """Push-to-talk; the id of the dialog."""
        answer = self._call(TriggerWake, 'loader/wake', TriggerWake.Request())
        return str(answer.dialog_id)

    def stop(self) -> None:
        """Stop the assistant, main included."""
        self._call(StopAssistant, 'loader/stop', StopAssistant.Request(shutdown=True))

    # Waiting ----------------------------------------------------------------------------------

    def _state(self) -> AssistantState:
        states: queue.Queue[AssistantState] = queue.Queue(16)
        self._node.create_subscription(AssistantState, 'loader/state', states.put, qos.STATE)
        try:
            return states.get(timeout=FIND_TIMEOUT_S)
        except queue.Empty:
            raise _silent('loader/state', FIND_TIMEOUT_S) from None

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        client = self._node.create_client(kind, name)
        if not client.wait_for_service(FIND_TIMEOUT_S):
            raise _silent(name, FIND_TIMEOUT_S)
        answer = _wait(name, client.call_async(request), CALL_TIMEOUT_S)
        _require_ok(name, answer)
        return answer

    def _goal(self, kind: Any, name: str, goal: Any, on_feedback: Any) -> Any:
        client = SafeActionClient(self._node, kind, name)
        if not client.wait_for_server(FIND_TIMEOUT_S):
            raise _silent(name, FIND_TIMEOUT_S)
        handle = _wait(name, client.send_goal_async(goal, on_feedback), CALL_TIMEOUT_S)
        if not handle.accepted:
            raise AssistantError(ErrorCode.UNAVAILABLE, f'{name}: refused')
        return handle

    def _result(self, handle: Any, timeout_s: float) -> Any:
        try:
            result = _wait('the result', handle.get_result_async(), timeout_s).result
        except BaseException:
            self._cancel(handle)
            raise
        _require_ok('speak', result)
        return result

    def _next(self, pieces: queue.Queue[ReplyChunk | None], handle: Any) -> ReplyChunk | None:
        try:
            return pieces.get(timeout=TOKEN_TIMEOUT_S)
        except queue.Empty:
            self._cancel(handle)
            raise _silent('llm/complete', TOKEN_TIMEOUT_S) from None
        except KeyboardInterrupt:
            self._cancel(handle)
            raise

    def _cancel(self, handle: Any) -> None:
        with suppress(AssistantError):  # it ends with us or by itself
            _wait('cancel', handle.cancel_goal_async(), 1.0)


class _Process:
    """A process of the assistant, asked for its health."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._health = ask(port, 1.0) if pid else None

    @property
    def serves(self) -> bool:
        return self._health is not None and self._health.state is HealthState.SERVING

    def sentence(self, warnings: str) -> str:
        """For a person; ``warnings``: what is wrong though it serves, or empty."""
        if self._health is None:
            return 'not running'
        why = f': {self._health.problem}' if self._health.problem else ''
        but = f', but {warnings}' if warnings and not why else ''
        return f'process {self._pid}, {self._health.state.value}{why}{but}'


class _Warnings:
    """What the nodes say in /diagnostics about what is wrong though they serve."""

    def __init__(self, node: Any, namespace: str) -> None:
        self._prefix = f'{namespace}/'.lstrip('/')
        self._told: dict[str, str] = {}
        self._news = threading.Condition()
        node.create_subscription(DiagnosticArray, '/diagnostics', self._take, qos.EVENTS)

    def of(self, names: Sequence[str]) -> dict[str, str]:
        """By node, once each of these has told; without those that have not in time."""
        with self._news:
            self._news.wait_for(lambda: self._told.keys() >= set(names), WARNINGS_TIMEOUT_S)
            return dict(self._told)

    def _take(self, message: DiagnosticArray) -> None:
        with self._news:
            for status in message.status:
                name = status.name.partition(':')[0].removeprefix(self._prefix)
                self._told[name] = next(
                    (pair.value for pair in status.values if pair.key == 'warnings'), '')
            self._news.notify_all()


class _Spoken:
    """Numbers the pieces of one text for ``/tts/stream``."""

    def __init__(self, stream_id: str) -> None:
        self._id = stream_id
        self._count = 0

    def chunk(self, text: str, is_last: bool) -> ReplyChunk:
        message = ReplyChunk(
            dialog_id=self._id, turn=1, sequence=self._count, text=text, is_last=is_last)
        message.header.stamp = to_msg(time.time())
        self._count += 1
        return message


def _wait(name: str, pending: Any, timeout_s: float) -> Any:
    done = threading.Event()
    pending.add_done_callback(lambda _: done.set())
    if not done.wait(timeout_s):
        raise _silent(name, timeout_s)
    return pending.result()


def _require_ok(name: str, answer: Any) -> None:
    if answer.error_code:
        code = answer.error_code if answer.error_code in list(ErrorCode) else ErrorCode.INTERNAL
        raise AssistantError(ErrorCode(code), f'{name}: {answer.error_msg}')


def _silent(name: str, timeout_s: float) -> AssistantError:
    return AssistantError(ErrorCode.TIMEOUT, f'{name}: no answer from the assistant in '
                                             f'{timeout_s:g} s; ./va log shows what it does')
