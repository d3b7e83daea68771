# SPDX-License-Identifier: Apache-2.0
"""A node's way to the logger: keeps lines and records, delivers them whenever it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
import secrets
import threading
import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node

from va_common.errors import AssistantError, ErrorCode
from va_common.ids import new_dialog_id
from va_common.logging_lane import Answer, Lane, Reply
from va_common.logging_queue import (
    AppBatch,
    AppQueue,
    DialogItem,
    DialogQueue,
    LINE_CAPACITY,
    make_line,
    make_record,
    RECORD_CAPACITY,
)
from va_common.ros_time import to_msg
from va_interfaces.srv import NewDialog, WriteApp, WriteDialog

__all__ = ['LoggingClient']

TICK_S = 0.25

AppSink = Callable[[AppBatch], None]
"""Writes lines directly, for the logger's own ones. Raises AssistantError."""


class LoggingClient:
    """Carries application log lines and dialog records to the logger. Thread-safe.

    Nothing here blocks but :meth:`flush` and :meth:`close`; it works before the logger exists and
    across its restarts. Delivery runs in the node's executor, in a callback group of its own.

    Args:
        node: gives the services' namespace and the executor.
        source: name in the application log.
        sender_id: one per run of this sender; empty: drawn at random.
        line_capacity: lines that are kept; then the oldest go, and a line says how many.
        record_capacity: records that are kept; then new ones are refused.
    """

    def __init__(self, node: Node, source: str, *, sender_id: str = '',
                 line_capacity: int = LINE_CAPACITY,
                 record_capacity: int = RECORD_CAPACITY) -> None:
        self._node = node
        self._source = source
        self._sender_id = sender_id or secrets.token_hex(8)
        self._records_made = 0
        self._make_lock = threading.Lock()
        self._app_queue = AppQueue(line_capacity)
        self._dialog_queue = DialogQueue(self._report_refused, record_capacity)
        self._sink: AppSink | None = None
        self._closed = False
        # Keeps guard and timer from being touched after their destruction by another thread.
        self._handles = threading.Lock()
        self._build_delivery()

    def _build_delivery(self) -> None:
        group = ReentrantCallbackGroup()
        make = self._node.create_client
        self._app_call = _Call(make(WriteApp, 'logger/write_app', callback_group=group))
        self._open_call = _Call(make(NewDialog, 'logger/new_dialog', callback_group=group))
        self._write_call = _Call(make(WriteDialog, 'logger/write_dialog', callback_group=group))
        self._app_lane: Lane[AppBatch] = Lane(
            self._app_queue, self._app_ready, self._send_app, self._wake)
        self._dialog_lane: Lane[DialogItem] = Lane(
            self._dialog_queue, self._dialog_ready, self._send_dialog, self._wake)
        self._guard = self._node.create_guard_condition(self._pump, callback_group=group)
        # A steady clock: delivery goes on under simulated time.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(
            TICK_S, self._pump, callback_group=group, clock=clock)

    # What a node calls ------------------------------------------------------------------------

    def app(self, level: str, line: str, stamp_s: float | None = None) -> None:
        """Keep one line for the application log; ``level`` DEBUG, INFO, WARNING, ERROR, FATAL."""
        entry = make_line(level, line, time.time() if stamp_s is None else stamp_s)
        self._app_lane.change(lambda: self._app_queue.add(entry))

    def new_dialog(self, dialog_id: str = '', now_s: float | None = None) -> str:
        """Open a dialog. Returns its id at once (made here when empty); the file follows."""
        now_s = time.time() if now_s is None else now_s
        dialog_id = dialog_id or new_dialog_id(now_s, secrets.token_hex(2))
        self._keep(DialogItem(dialog_id))
        return dialog_id

    def dialog(self, dialog_id: str, turn: int, role: str, text: str,
               data: Mapping[str, Any] | None = None, stamp_s: float | None = None,
               record_id: str | None = None) -> Future[int]:
        """Keep one record of a dialog, in order behind those before it.

        Args:
            dialog_id: of :meth:`new_dialog`.
            turn: from 1; 0 for the dialog as a whole.
            role: USER, ASSISTANT, EVENT or LATENCY.
            text: what was said, or the name of the event.
            data: further fields, as JSON can carry them (no NaN).
            stamp_s: when it happened, Unix seconds; None: now.
            record_id: the same one is written once; None: a new one.

        Returns:
            Done when the record is on disk, with its number; or with the AssistantError it was
            refused with, which is also in the application log. It need not be looked at.
        """
        stamp_s = time.time() if stamp_s is None else stamp_s
        record_id = record_id or self._new_record_id()
        try:
            record = make_record(turn, record_id, role, text, data, stamp_s)
        except AssistantError as error:
            return self._refuse(DialogItem(dialog_id), error)
        return self._keep(DialogItem(dialog_id, record))

    @property
    def pending(self) -> int:
        """How many lines and records are not acknowledged yet."""
        return len(self._app_lane) + len(self._dialog_lane)

    def write_lines_with(self, sink: AppSink | None) -> None:
        """Write lines directly instead of calling the service: the logger does, with its own."""
        self._sink = sink
        self._wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; the executor must be spinning in another thread.

        Returns:
            False when time ran out, or at once when no executor has the node.
        """
        while self._sink is not None and self._app_lane.pump():
            pass  # written directly, with or without an executor
        if self._node.executor is None:
            return not self.pending
        deadline_s = time.monotonic() + timeout_s
        self._wake()
        emptied = self._dialog_lane.wait_empty(timeout_s)
        return self._app_lane.wait_empty(max(0.0, deadline_s - time.monotonic())) and emptied

    def close(self, timeout_s: float) -> bool:
        """Deliver what is pending, then stop; idempotent.

        Lines are not waited for when no logger is there; records are.

        Returns:
            False when something was still pending.
        """
        if self._closed:
            return not self.pending
        worth_waiting = len(self._dialog_lane) or self._app_ready()
        emptied = self.flush(timeout_s if worth_waiting else 0.0)
        with self._handles:
            self._closed = True
            self._node.destroy_timer(self._timer)
            self._node.destroy_guard_condition(self._guard)
        for call in (self._app_call, self._open_call, self._write_call):
            call.cancel()
            self._node.destroy_client(call.client)
        return emptied

    # Keeping ----------------------------------------------------------------------------------

    def _new_record_id(self) -> str:
        with self._make_lock:
            self._records_made += 1
            return f'{self._sender_id}-{self._records_made}'

    def _keep(self, item: DialogItem) -> Future[int]:
        try:
            self._dialog_lane.change(lambda: self._dialog_queue.add(item))
        except AssistantError as error:
            return self._refuse(item, error)
        return item.acknowledged

    def _refuse(self, item: DialogItem, error: AssistantError) -> Future[int]:
        item.acknowledged.set_exception(error)
        self._report_refused(item, error)
        return item.acknowledged

    def _report_refused(self, item: DialogItem, error: AssistantError) -> None:
        role = item.record.role if item.record else 'opening'
        line = f'dialog record lost dialog={item.dialog_id} role={role}: {error.message}'
        self._node.get_logger().error(line)
        self.app('ERROR', line)

    # Delivery ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        with self._handles:
            if not self._closed:
                self._guard.trigger()

    def _pump(self) -> None:
        if self._closed or not self._node.context.ok():
            return
        self._app_lane.pump()
        self._dialog_lane.pump()
        self._rest_or_tick()

    def _rest_or_tick(self) -> None:
        """With nothing to retry, an idle node is not woken four times a second."""
        waiting = self.pending > 0
        with self._handles:
            if self._closed or self._timer.is_canceled() != waiting:
                return
            self._timer.reset() if waiting else self._timer.cancel()

    def _app_ready(self) -> bool:
        return self._sink is not None or self._app_call.ready()

    def _dialog_ready(self) -> bool:
        return self._open_call.ready() and self._write_call.ready()

    def _send_app(self, batch: AppBatch, reply: Reply) -> None:
        if self._sink is not None:
            self._sink(batch)
            reply(Answer(ErrorCode.OK))
            return
        request = WriteApp.Request(
            source=self._source, sender_id=self._sender_id, first_sequence=batch.first_sequence,
            levels=[line.level for line in batch.lines],
            lines=[line.text for line in batch.lines],
            stamps=[to_msg(line.stamp_s) for line in batch.lines])
        self._app_call.start(request, reply)

    def _send_dialog(self, item: DialogItem, reply: Reply) -> None:
        call = self._open_call if item.record is None else self._write_call
        call.start(_dialog_request(item), reply)


class _Call:
    """A service client with one call at a time; a call that was given up is forgotten."""

    def __init__(self, client: Client[Any, Any]) -> None:
        self.client = client
        self._future: Any = None

    def ready(self) -> bool:
        try:
            return bool(self.client.service_is_ready())
        except InvalidHandle:
            return False  # the client has just been closed

    def start(self, request: Any, reply: Reply) -> None:
        self.cancel()
        self._future = self.client.call_async(request)
        self._future.add_done_callback(lambda future: reply(_answer(future)))

    def cancel(self) -> None:
        if self._future is not None:
            self.client.remove_pending_request(self._future)
            self._future = None


def _dialog_request(item: DialogItem) -> Any:
    if item.record is None:
        return NewDialog.Request(dialog_id=item.dialog_id)
    record = item.record
    return WriteDialog.Request(
        dialog_id=item.dialog_id, turn=record.turn, record_id=record.record_id, role=record.role,
        text=record.text, data_json=record.data_json, stamp=to_msg(record.stamp_s))


def _answer(future: Any) -> Answer:
    if future.exception() is not None:
        return Answer(ErrorCode.INTERNAL, f'call of the logger failed: {future.exception()}')
    response = future.result()
    return Answer(response.error_code, response.error_msg, getattr(response, 'sequence', 0))
