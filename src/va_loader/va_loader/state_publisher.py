# SPDX-License-Identifier: Apache-2.0
"""Publishes the state, latched, and the loader's part of /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from va_common import qos
from va_interfaces.msg import AssistantState
from va_loader.state_board import Snapshot, STATES

DIAGNOSTICS_PERIOD_S = 1.0
_WORRYING = {'recovering': DiagnosticStatus.WARN, 'stopping': DiagnosticStatus.WARN,
             'fatal': DiagnosticStatus.ERROR}


class StatePublisher:
    """Publishes snapshots as they change and diagnostics once a second.

    Args:
        node: the loader's node.
        snapshot: the state now.
        values: further values for /diagnostics.
    """

    def __init__(self, node: Node, snapshot: Callable[[], Snapshot],
                 values: Callable[[], Mapping[str, str]]) -> None:
        self._node = node
        self._snapshot = snapshot
        self._values = values
        self.turns = 0
        """Advances once a second while the executor is well."""
        self._states = node.create_publisher(AssistantState, 'loader/state', qos.STATE)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.EVENTS)
        node.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)

    def publish(self, snapshot: Snapshot) -> None:
        """Publish the state, from any thread."""
        if not self._node.context.ok():
            return
        message = AssistantState(
            state=STATES.index(snapshot.name), name=snapshot.name, phase=snapshot.phase,
            attempt=snapshot.attempt, reason=snapshot.reason, profile=snapshot.profile,
            vram=snapshot.vram, dialog_id=snapshot.dialog_id, turn=snapshot.turn)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._states.publish(message)

    def _publish_diagnostics(self) -> None:
        self.turns += 1
        if not self._node.context.ok():
            return
        snapshot = self._snapshot()
        values = {'phase': snapshot.phase, 'attempt': str(snapshot.attempt),
                  'profile': snapshot.profile, 'vram': snapshot.vram, **self._values()}
        status = DiagnosticStatus(
            level=_WORRYING.get(snapshot.name, DiagnosticStatus.OK),
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: loader',
            message=f'{snapshot.name}: {snapshot.reason}' if snapshot.reason else snapshot.name,
            hardware_id='loader',
            values=[KeyValue(key=key, value=value) for key, value in values.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)
