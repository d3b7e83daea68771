# SPDX-License-Identifier: Apache-2.0
"""Listens to the assistant's topics and remembers what happened when; says nothing itself."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import threading
import time
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from va_common import local_only, qos
from va_common.ros_time import to_seconds
from va_interfaces.msg import (
    AssistantState,
    PlaybackEvent,
    ReplyChunk,
    Transcript,
    TurnReport,
    Wake,
)


@dataclass(frozen=True)
class Seen:
    """One message."""

    topic: str
    message: Any
    received_s: float
    stamp_s: float = field(default=0.0)
    'of its header, Unix seconds'


class Observer:
    """Context manager. Everything seen is kept in `events`, in order of arrival."""

    TOPICS = (
        ('kwd/wake', Wake, qos.EVENTS),
        ('stt/transcript', Transcript, qos.EVENTS),
        ('llm/chunk', ReplyChunk, qos.EVENTS),
        ('llm/draft', ReplyChunk, qos.EVENTS),
        ('tts/playback', PlaybackEvent, qos.EVENTS),
        ('loader/turn_report', TurnReport, qos.EVENTS),
        ('loader/state', AssistantState, qos.STATE),
    )

    def __init__(self, namespace: str = '') -> None:
        self.events: list[Seen] = []
        self.listeners: list[Callable[[Seen], None]] = []
        self._namespace = namespace
        self._changed = threading.Condition()
        self._context = Context()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Observer:
        local_only.apply()
        rclpy.init(context=self._context)
        self.node = Node('room_observer', context=self._context, namespace=self._namespace)
        for topic, kind, profile in self.TOPICS:
            self.node.create_subscription(
                kind, topic, lambda message, topic=topic: self._remember(topic, message), profile)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name='observer', daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(2.0)
        self._context.try_shutdown()
        if self._thread is not None:
            self._thread.join(5.0)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return  # the ordinary end

    def _remember(self, topic: str, message: Any) -> None:
        seen = Seen(topic, message, time.time(), to_seconds(message.header.stamp))
        with self._changed:
            self.events.append(seen)
            self._changed.notify_all()
        for listener in self.listeners:
            listener(seen)

    def mark(self) -> int:
        """The number of events so far, for `wait` and `since`."""
        with self._changed:
            return len(self.events)

    def since(self, mark: int, topic: str = '') -> list[Seen]:
        """Events after ``mark``, of one topic or all."""
        with self._changed:
            return [e for e in self.events[mark:] if topic in ('', e.topic)]

    def wait(self, match: Callable[[Seen], bool], timeout_s: float, *, mark: int = 0,
             alive: Callable[[], bool] = lambda: True) -> Seen | None:
        """The first event after ``mark`` that matches; None when the time is up or ``alive``
        turns false.
        """
        deadline = time.monotonic() + timeout_s
        position = mark
        while True:
            with self._changed:
                while position < len(self.events):
                    if match(self.events[position]):
                        return self.events[position]
                    position += 1
                left = deadline - time.monotonic()
                if left <= 0 or not alive():
                    return None
                self._changed.wait(min(left, 0.2))

    def state(self) -> str:
        """The name of the assistant's latest state; empty before the first."""
        states = self.since(0, 'loader/state')
        return str(states[-1].message.name) if states else ''
