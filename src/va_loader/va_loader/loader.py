# SPDX-License-Identifier: Apache-2.0
"""The process ``loader``: puts phases, supervision, dialog and admin together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
import faulthandler
import os
import signal
import sys
import time
import traceback
from typing import Any

from va_common import local_only, process
from va_common.config_loader import Config
from va_common.errors import AssistantError, ErrorCode
from va_common.health import Health, HealthAsker, HealthServer
from va_common.ports import PORTS
from va_common.profile import Profile, resolve
from va_loader.child_lines import ChildLines
from va_loader.children import Children, print_line
from va_loader.control import Control, Request
from va_loader.exit_codes import EXIT_CONFIGURATION, EXIT_CRASHED, EXIT_FATAL, EXIT_TAKEN
from va_loader.fork_client import inherited_client
from va_loader.fork_protocol import CLIENT_VARIABLE
from va_loader.health_watcher import CHECK_TIMEOUT_S, HealthWatcher
from va_loader.node_specs import plan, SPECS
from va_loader.options import Options, parse
from va_loader.phase_controller import PhaseStatus
from va_loader.procfs import is_frozen, sample
from va_loader.session import Hooks, LiveSession, SessionSettings
from va_loader.vram_guard import VramGuard
from va_loader.warmup import RECOVERING_VARIABLE
from va_loader.watchdog import PERIOD_S, Watchdog

_EXECUTOR_THREADS = 4
_CLOSE_TIMEOUT_S = 1.0


class Loader:
    """The loader's parts and their order of life.

    Args:
        options: the command line.
        config: the configuration.
        profile: the profile in force.
    """

    def __init__(self, options: Options, config: Config, profile: Profile) -> None:
        self._options = options
        self._config = config
        self._profile = profile
        self._offset = int(str(config.get('system.port_offset')))
        self._started_s = time.monotonic()
        self._crashed = False
        self._checks = ThreadPoolExecutor(len(SPECS) + 1, thread_name_prefix='check')
        self._askers = {name: HealthAsker(spec.port(self._offset))
                        for name, spec in SPECS.items()}
        self._health = HealthServer(PORTS['loader'] + self._offset)
        self._restarts = dict.fromkeys(SPECS, 0)
        self._loop_turns = 0
        self._is_recovery = RECOVERING_VARIABLE in os.environ
        self._recovery_reason = os.environ.get(RECOVERING_VARIABLE, '')
        """What main says of the loader before this one; shown until everything is ready."""

    async def run(self) -> int:
        """Live until shutdown or a fatal failure; the exit code."""
        self._health.start()
        self._loop = asyncio.get_running_loop()
        # First of all: a signal during the slow imports below is kept by the loop until then.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._ask_quietly, Request.SHUTDOWN)
        self._children = Children(self._options, self._config, inherited_client())
        self._children.start_early()
        self._build()
        self._control = Control(self._make_session, self._on_fatal, self._on_stopped)
        self._turn_loop()
        watchdog = Watchdog({'loop': lambda: self._loop_turns, 'dialog': lambda: self._bus.turns,
                             'executor': self._node.executor_turns}, _die)
        watchdog.start()
        try:
            code = await self._control.run()
        finally:
            watchdog.stop()
            await self._close()
        return EXIT_CRASHED if self._crashed else code

    def _build(self) -> None:
        """Everything that needs ROS: imported here, while the children import theirs."""
        import rclpy
        from rclpy.callback_groups import ReentrantCallbackGroup
        from rclpy.signals import SignalHandlerOptions

        from va_common.executor import NodeExecutor
        from va_common.spinning import Spinner
        from va_loader.admin_api import AdminApi
        from va_loader.dialog_manager import DialogManager
        from va_loader.dialog_port import DialogPort
        from va_loader.event_bus import EventBus
        from va_loader.lifecycle_client import LifecycleClient
        from va_loader.node import LoaderNode
        from va_loader.params import ros_arguments

        local_only.apply(str(self._config.get('system.dds')))
        arguments = ros_arguments(self._children.parameter_files['loader'], self._options)
        rclpy.init(args=['loader', *arguments], signal_handler_options=SignalHandlerOptions.NO)
        self._node = LoaderNode(self._profile.name, self._config.values, self._diagnostics)
        self._children.log_with(ChildLines(self._keep_line).take)
        manager = DialogManager(self._node.rules(), self._node.choose, self._node.salt)
        self._bus = EventBus(
            manager.handle, lambda command: self._port.execute(command), self._node.log.error)
        self._port = DialogPort(self._node, self._loop, self._bus.post)
        group = ReentrantCallbackGroup()
        self._lifecycles = {name: LifecycleClient(self._node, name, group) for name in SPECS}
        self._nodes = {name: self._managed(name) for name in SPECS}
        AdminApi(self._node, self._ask, self._pids, self._bus.post)
        self._node.listen(self._bus.post)
        executor = NodeExecutor(_EXECUTOR_THREADS)
        executor.add_node(self._node)
        self._spinner = Spinner(executor, self._on_executor_failed)
        self._bus.start()

    def _managed(self, name: str) -> Any:
        from va_loader.managed_node import ManagedNode

        return ManagedNode(
            name, lambda: self._children.spawn(name), self._lifecycles[name],
            lambda child: self._watcher(name, child.pid), self._log)

    def _watcher(self, name: str, pid: int) -> HealthWatcher:
        asker = self._askers[name]
        interval_s = float(str(self._config.get('loader.health_interval_ms'))) / 1000.0

        async def ask_node() -> Health:
            return await self._loop.run_in_executor(self._checks, asker.ask, CHECK_TIMEOUT_S)

        return HealthWatcher(ask_node, lambda: sample(pid), lambda: is_frozen(pid), interval_s,
                             look_at_self=lambda: sample(os.getpid()))

    # A session and what it tells --------------------------------------------------------------

    def _make_session(self) -> LiveSession:
        section = self._config.section('loader')
        backoff_ms = section['restart_backoff_ms']
        assert isinstance(backoff_ms, tuple)
        # Who has been greeted is not greeted again because the loader died.
        greeting = '' if self._is_recovery else str(section['greeting'])
        self._is_recovery = False
        settings = SessionSettings(
            plan(str(section['startup_mode']),
                 float(str(section['parallel_phase_timeout_ms'])) / 1000.0,
                 float(str(section['phase_timeout_ms'])) / 1000.0),
            tuple(float(pause) / 1000.0 for pause in backoff_ms),
            int(str(section['restart_limit'])), greeting, str(section['audio_device_probe']))
        hooks = Hooks(self._show, self._on_ready, self._on_closed, self._on_lost, self._on_back,
                      self._on_waits, self._log, self._port.speak)
        self._log('info', f'profile {self._profile.name}: {self._profile.reason}')
        self._started_s = time.monotonic()
        return LiveSession(self._nodes, settings, self._guard(), hooks)

    def _guard(self) -> VramGuard:
        wanted_mb = int(str(self._config.get('system.min_vram_mb')))
        stagger_mb = int(str(self._config.get('loader.gpu_mem_min_mb')))
        if not self._profile.uses_gpu:
            return VramGuard(None, wanted_mb, stagger_mb)
        from va_common.gpu_monitor import GpuMonitor

        return VramGuard(lambda: GpuMonitor().free_mb(), wanted_mb, stagger_mb)

    def _show(self, status: PhaseStatus) -> None:
        name = 'stopping' if status.phase == 'down' else 'booting'
        if status.attempt > 1:
            name = 'recovering'
        reason = status.reason or (self._recovery_reason if name == 'booting' else '')
        if self._node.board.snapshot.name != 'fatal':
            self._node.board.show_phase(
                name, status.phase, status.attempt, reason, status.vram or None)
        if status.phase not in ('down', 'warm_up') and status.attempt == 1:
            self._log('info', f'{status.phase} begins ms={self._ms()}')

    def _on_ready(self) -> None:
        from va_loader.dialog_events import Opened

        self._recovery_reason = ''
        self._node.board.run()
        self._bus.post(Opened())
        self._health.set(True)
        self._log('info', f'ready ms={self._ms()}')

    def _on_closed(self, reason: str) -> None:
        from va_loader.dialog_events import Closed

        self._health.set(False)
        self._log('info', reason)
        self._bus.post(Closed(reason))

    def _on_lost(self, name: str, reason: str) -> None:
        from va_loader.dialog_events import NodeLost

        self._restarts[name] += 1
        self._bus.post(NodeLost(name, reason))

    def _on_waits(self, name: str, reason: str) -> None:
        from va_loader.dialog_events import NodeLost

        # Records are kept until there is room again: with a full disk it still hears.
        self._bus.post(NodeLost(name, reason, bearable=name == 'logger'))

    def _on_back(self, name: str) -> None:
        from va_loader.dialog_events import NodeBack

        self._log('info', f'{name} is back')
        self._bus.post(NodeBack(name))

    def _on_fatal(self, reason: str) -> None:
        self._log('error', f'FATAL: {reason}')
        snapshot = self._node.board.snapshot
        self._node.board.show_phase('fatal', snapshot.phase, snapshot.attempt, reason)

    def _on_stopped(self) -> None:
        self._node.board.show_phase(
            'stopping', 'down', reason='stopped; loader/start starts it again')

    # Requests, lines, pids --------------------------------------------------------------------

    def _ask(self, wanted: Request) -> None:
        """From a ROS callback. Raises AssistantError."""
        async def ask() -> None:
            self._control.request(wanted)
        asyncio.run_coroutine_threadsafe(ask(), self._loop).result(_CLOSE_TIMEOUT_S)

    def _ask_quietly(self, wanted: Request) -> None:
        try:
            self._control.request(wanted)
        except AssistantError as error:
            self._log('warning', f'{wanted.value}: {error.message}')

    def _log(self, level: str, line: str) -> None:
        getattr(self._node.log, level)(line)

    def _keep_line(self, name: str, line: str) -> None:
        self._node.logging_client.app('WARNING', f'{name}: {line}')

    def _pids(self) -> dict[str, int]:
        return {'loader': os.getpid(), **{name: node.pid for name, node in self._nodes.items()}}

    def _diagnostics(self) -> dict[str, str]:
        return {f'{name} restarts': str(count) for name, count in self._restarts.items()}

    def _ms(self) -> int:
        return round((time.monotonic() - self._started_s) * 1000)

    # Health of the loader itself --------------------------------------------------------------

    def _turn_loop(self) -> None:
        self._loop_turns += 1
        self._loop.call_later(PERIOD_S / 2, self._turn_loop)

    # The end ----------------------------------------------------------------------------------

    def _on_executor_failed(self, error: BaseException) -> None:
        """Out of a callback: this process is in an unknown state, main starts another."""
        traceback.print_exception(error)
        self._crashed = True
        self._loop.call_soon_threadsafe(self._ask_quietly, Request.SHUTDOWN)

    async def _close(self) -> None:
        import rclpy

        await self._port.close()
        await self._loop.run_in_executor(None, self._bus.stop)
        await self._children.kill_unused()
        self._node.close(lambda: self._spinner.stop(_CLOSE_TIMEOUT_S))
        rclpy.try_shutdown()
        self._health.stop()
        self._checks.shutdown(wait=False, cancel_futures=True)
        for asker in self._askers.values():
            asker.close()


def _die(part: str) -> None:
    """A part of the loader hangs: leave the stacks behind for main's last-resort log, and go."""
    print_line(f'[loader] FATAL: {part} hangs')
    faulthandler.dump_traceback()
    os._exit(EXIT_CRASHED)


def main(argv: list[str] | None = None) -> int:
    """Run the loader; 0 after a shutdown, 1 after a fatal failure, 2 configuration, 3 taken."""
    # A fork server passes on that main has ended; when it dies itself, main starts all anew.
    forked = CLIENT_VARIABLE in os.environ
    process.die_with_parent(signal.SIGKILL if forked else signal.SIGTERM)
    try:
        options = parse('loader', sys.argv[1:] if argv is None else argv)
        config = options.read()
        profile = resolve(str(config.get('system.profile')))
    except AssistantError as error:
        print_line(error.message)
        return EXIT_CONFIGURATION
    try:
        return asyncio.run(Loader(options, config, profile).run())
    except AssistantError as error:
        print_line(error.message)
        return EXIT_TAKEN if error.code == ErrorCode.UNAVAILABLE else EXIT_FATAL
    except Exception:
        traceback.print_exc()
        return EXIT_CRASHED


if __name__ == '__main__':
    sys.exit(main())
