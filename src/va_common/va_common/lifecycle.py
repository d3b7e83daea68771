# SPDX-License-Identifier: Apache-2.0
"""The base of every node but the loader: lifecycle, settings, health, diagnostics and log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import qos
from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.health import HealthServer, STALE_S
from va_common.logging_client import LoggingClient
from va_common.node_log import NodeLog
from va_common.node_main import run_node
from va_common.node_settings import declare_settings, NodeSettings
from va_common.ports import PORTS
from va_common.profile import Profile, resolve
from va_common.progress import Progress
from va_common.settings import SettingValue

__all__ = ['AssistantNode', 'run_node']

HEALTH_PERIOD_S = 0.5
DIAGNOSTICS_PERIOD_S = 1.0
CLOSE_WAIT_S = 2.0
_OUTSIDE = (ErrorCode.DEVICE_FAILED, ErrorCode.DISK, ErrorCode.UNAVAILABLE)
"""What is away is a device, a disk or a server: not mended by another process."""


class AssistantNode(LifecycleNodeMixin, Node):  # type: ignore[misc]
    """A managed node of the assistant.

    A subclass overrides the ``do_*`` hooks, which raise to fail, and ``health_problem``.
    ``LifecycleNode`` is not used: with the mixin in a reentrant group, ``get_state`` answers
    while a slow configure runs, and overlapping transitions are refused.

    Args:
        name: node name, process name of the contract.
        section: its section of ``assistant.ini``; those keys are unprefixed parameters.
        shared: further sections; their keys are parameters with the prefix ``section.``.
        serve_health: open the gRPC health port (tests without one pass False).
        node_arguments: passed on to :class:`rclpy.node.Node`.
    """

    def __init__(self, name: str, *, section: str, shared: tuple[str, ...] = ('system', 'audio'),
                 serve_health: bool = True, **node_arguments: Any) -> None:
        Node.__init__(self, name, **node_arguments)
        self._transition_group = ReentrantCallbackGroup()
        self._hooks = threading.RLock()
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=True, callback_group=self._transition_group)
        self.settings = NodeSettings(self, declare_settings(self, section, shared))
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.profile: Profile = resolve(str(self.setting('system.profile')))
        self.progress = Progress()
        self.logging_client = self.make_logging_client(name)
        self.log = NodeLog(self, self.logging_client, str(self.setting('system.log_level')))
        self.is_active = False
        self._failure: str | None = None
        self._failed_device = False
        self._problem: str | None = 'not active'
        self._report_lock = threading.Lock()
        self._health = self._open_health(name) if serve_health else None
        self._start_reporting()
        self._autostart()

    # What a subclass does ---------------------------------------------------------------------

    def engine_modules(self) -> Sequence[str]:
        """What configure will import, by the settings in force.

        The process of the node imports it from its start on, in a thread of its own. Nothing that
        opens a device, takes GPU memory or a core for long when it is imported.
        """
        return ()

    def do_configure(self) -> None:
        """Load what is slow to load. Raise to fail; :meth:`do_cleanup` then undoes the half."""

    def do_activate(self) -> None:
        """Begin to work, within 100 ms. Raise to fail."""

    def do_deactivate(self) -> None:
        """Stop working."""

    def do_cleanup(self) -> None:
        """Let go of everything that configure made; idempotent."""

    def health_problem(self) -> str | None:
        """Why the active node does not do its work; None when it does."""
        return None

    def waits_for_device(self) -> bool:
        """Whether the problem is a device, a disk or a server that is tried again by itself."""
        return False

    def diagnostics(self) -> dict[str, str]:
        """Values for /diagnostics."""
        return {}

    def warnings(self) -> list[str]:
        """What a person should look at though the node does its work, for /diagnostics."""
        return []

    def on_setting(self, key: str, value: SettingValue) -> None:
        """React to a live setting that changed; it has been checked."""

    def make_logging_client(self, name: str) -> LoggingClient:
        """The client that carries lines and records to the logger."""
        return LoggingClient(self, name)

    # What it gives ----------------------------------------------------------------------------

    def setting(self, key: str) -> Any:
        """The value in force of a setting: ``voice``, or ``audio.output_device``."""
        return self.settings[key]

    def fail(self, reason: str) -> None:
        """Say NOT_SERVING with a reason until the node is deactivated."""
        self.log.error(reason)
        self._failure, self._failed_device = reason, False
        self._report_health()

    def look_again(self) -> None:
        """What was waited for may have come: if all is well now, say so at once. Any thread."""
        if self._problem is not None and self.is_active:
            self._report_health()

    def require_active(self) -> None:
        """Raise AssistantError NOT_ACTIVE unless the node is active."""
        if not self.is_active:
            message = f'{self.get_name()} is not active: expected configure and activate first'
            raise AssistantError(ErrorCode.NOT_ACTIVE, message)

    # Lifecycle --------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see :meth:`do_configure`."""
        started = time.monotonic()
        self._failure = None
        if not self._attempt('configure', self.do_configure):
            failure = self._failure
            self._attempt('cleanup', self.do_cleanup)
            self._failure = failure
            self._report_health()
            return TransitionCallbackReturn.FAILURE
        self.log.info('configured', ms=_ms_since(started), profile=self.profile.name)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see :meth:`do_activate`."""
        started = time.monotonic()
        if LifecycleNodeMixin.on_activate(self, state) != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.FAILURE
        self._failure = None
        if not self._attempt('activate', self.do_activate):
            failure = self._failure
            self._attempt('deactivate', self.do_deactivate)
            self._failure = failure
            LifecycleNodeMixin.on_deactivate(self, state)
            self._report_health()
            return TransitionCallbackReturn.FAILURE
        self.is_active = True
        self._report_health()
        self.log.info('activated', ms=_ms_since(started))
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see :meth:`do_deactivate`."""
        self.is_active = False
        self._failure = None
        self._report_health()
        done = self._attempt('deactivate', self.do_deactivate)
        LifecycleNodeMixin.on_deactivate(self, state)
        return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.FAILURE

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback; see :meth:`do_cleanup`."""
        done = self._attempt('cleanup', self.do_cleanup)
        return TransitionCallbackReturn.SUCCESS if done else TransitionCallbackReturn.FAILURE

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback: deactivate and cleanup, as far as needed."""
        if self.is_active:
            self.on_deactivate(state)
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle callback: back to unconfigured, so that the loader may try again."""
        self.is_active = False
        self._report_health()
        self._attempt('cleanup', self.do_cleanup)
        return TransitionCallbackReturn.SUCCESS

    def close(self, end_spinning: Callable[[], None] = lambda: None) -> None:
        """End the node: deactivate, cleanup, flush the log, close the port; idempotent.

        ``end_spinning`` is called when nothing is left to be sent: an executor that still spins
        trips over what is destroyed after it.

        A hook that still runs after a while, such as a slow configure, is left alone: undoing
        what it is doing would crash in the engines' native code.
        """
        if self._hooks.acquire(timeout=CLOSE_WAIT_S):
            try:
                self._undo()
            finally:
                self._hooks.release()
        else:
            self.log.warning(f'closed while a transition ran for more than {CLOSE_WAIT_S:g} s')
        self.logging_client.close(1.0)
        if self._health is not None:
            self._health.stop()
            self._health = None
        end_spinning()
        self.destroy_node()

    def _undo(self) -> None:
        if self.is_active:
            self.is_active = False
            self._attempt('deactivate', self.do_deactivate)
        self._attempt('cleanup', self.do_cleanup)

    def _attempt(self, what: str, hook: Any) -> bool:
        """Run a hook, one at a time; rclpy would swallow its exception without a log line."""
        try:
            with self._hooks:
                hook()
        except Exception as raised:
            error = error_of(raised)
            self._failure = f'{what} failed: {error.message}'
            self._failed_device = error.code in _OUTSIDE
            self.log.error(self._failure, exc_info=error.code == ErrorCode.INTERNAL)
            return False
        return True

    # Health and diagnostics -------------------------------------------------------------------

    def _open_health(self, name: str) -> HealthServer:
        port = PORTS[name] + int(self.setting('system.port_offset'))
        server = HealthServer(port, stale_s=STALE_S)
        server.start()
        return server

    def _start_reporting(self) -> None:
        group = ReentrantCallbackGroup()
        # The mixin would make a publisher that is mute while the node is inactive; a robot wants
        # to see why a node is not active.
        self._diagnostics = Node.create_publisher(
            self, DiagnosticArray, '/diagnostics', qos.EVENTS)
        # In the group of the subscriptions: one of their callbacks that never returns is noticed.
        self.create_timer(HEALTH_PERIOD_S, self._report_health)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, callback_group=group)

    def problem(self) -> str | None:
        """Why the node is NOT_SERVING; None while it is SERVING."""
        if self._failure is not None:
            return self._failure
        if not self.is_active:
            return 'not active'
        try:
            return self.health_problem()
        except Exception as error:
            return f'health_problem failed: {error_of(error).message}'

    def _report_health(self) -> None:
        """Tell gRPC clients and, when it changed, /diagnostics at once: they never disagree."""
        with self._report_lock:
            problem = self.problem()
            changed, self._problem = problem != self._problem, problem
            if self._health is not None:
                self._health.set(problem is None, problem or '', self._waits(problem))
        if changed and self.is_active:
            self.log.info('serving') if problem is None else self.log.warning(problem)
        if changed:
            self._publish_diagnostics()

    def _waits(self, problem: str | None) -> bool:
        if self._failure is not None:
            return self._failed_device
        return problem is not None and self.is_active and self.waits_for_device()

    def _publish_diagnostics(self) -> None:
        if not self.context.ok():
            return
        problem = self._problem
        if problem is None and self._health is not None:
            problem = self._health.now().problem or None  # a callback hangs: nobody has reported
        values = self._diagnostic_values()
        if self._waits(problem):
            values['waits for device'] = 'yes'
        level, text = self._judged(problem, values.get('warnings', ''))
        status = DiagnosticStatus(
            level=level,
            name=f'{self.get_fully_qualified_name().lstrip("/")}: {self.get_name()}',
            message=text,
            hardware_id=self.get_name(),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _judged(self, problem: str | None, warnings: str) -> tuple[bytes, str]:
        if problem is not None:
            failed = self._failure is not None or self.is_active
            return DiagnosticStatus.ERROR if failed else DiagnosticStatus.WARN, problem
        if warnings:
            return DiagnosticStatus.WARN, f'serving, but {warnings}'
        return DiagnosticStatus.OK, 'serving'

    def _diagnostic_values(self) -> dict[str, str]:
        counts = {key: str(count) for key, count in self.progress.counts().items()}
        try:
            return {**counts, **self.diagnostics(), 'warnings': '; '.join(self.warnings())}
        except Exception as error:
            return {**counts, 'diagnostics failed': error_of(error).message}

    # Parameters -------------------------------------------------------------------------------

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        problem = self.settings.problem_with(parameters)
        return SetParametersResult(successful=problem is None, reason=problem or '')

    def _apply_parameters(self, parameters: list[Parameter]) -> None:
        for key, value in self.settings.take(parameters):
            try:
                self.on_setting(key, value)
            except Exception as error:
                self.log.error(f'setting {key} could not be applied: {error_of(error).message}')

    def _autostart(self) -> None:
        self.declare_parameter('autostart', False)
        if self.get_parameter('autostart').value:
            # By a timer: it fires when the node spins, so its subclass has been built by then.
            self._autostart_timer = self.create_timer(
                0.0, self._bring_up, callback_group=ReentrantCallbackGroup())

    def _bring_up(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
