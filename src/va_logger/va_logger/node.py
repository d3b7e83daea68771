# SPDX-License-Identifier: Apache-2.0
"""The logger as a ROS 2 lifecycle node: services, retention, health."""

from __future__ import annotations

from collections.abc import Callable
import os
import secrets
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from va_common.errors import AssistantError, ErrorCode
from va_common.lifecycle import AssistantNode
from va_common.log_places import log_folder
from va_common.logging_queue import AppBatch
from va_interfaces.srv import NewDialog, WriteApp, WriteDialog
from va_logger.app_log_writer import AppLogWriter
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.disk_health import DiskHealth
from va_logger.log_folder import LogFolder
from va_logger.rpc_sink import APPLICATION_LOG, RpcSink

PROBE_PERIOD_S = 2.0
RETENTION_PERIOD_S = 3600.0
FLUSH_TIMEOUT_S = 0.5


class LoggerNode(AssistantNode):
    """Writes the application log and the dialog files.

    The environment variable ``VA_RUN_ID`` names the run of the assistant: a logger restarted
    within it continues the application log instead of resetting it. Without it each process is
    a run.
    """

    def __init__(self, **node_arguments: Any) -> None:
        self._own_sender_id = secrets.token_hex(8)
        self._folder: LogFolder | None = None
        self._app_log: AppLogWriter | None = None
        self._dialogs: DialogLogManager | None = None
        self._sink: RpcSink | None = None
        self._disk = DiskHealth(self._disk_changed)
        self._ros_parts: list[tuple[Callable[[Any], object], Any]] = []
        super().__init__('logger', section='logger', shared=('system',), **node_arguments)

    # Lifecycle --------------------------------------------------------------------------------

    def do_configure(self) -> None:
        """Open the logs and offer the services."""
        path = log_folder(self.setting('log_dir'), self.get_namespace())
        self._folder = LogFolder(path)
        self._disk = DiskHealth(self._disk_changed)
        self._app_log = AppLogWriter(
            path, self.setting('max_bytes'), self.setting('backups'),
            os.environ.get('VA_RUN_ID') or self._own_sender_id)
        self._dialogs = DialogLogManager(self._folder.dialogs, on_mended=self._report_mended)
        self._sink = RpcSink(self._app_log, self._dialogs, self._disk, self.log.warning)
        self.logging_client.write_lines_with(self._write_own_lines)
        self.log.info('logs open', folder=path, continued=self._app_log.continued)
        self._delete_old_dialogs()
        self._offer_services()

    def do_cleanup(self) -> None:
        """Close the logs; the own lines so far go in first."""
        while self._ros_parts:
            destroy, part = self._ros_parts.pop()
            destroy(part)
        if self._app_log is not None:
            self.logging_client.flush(FLUSH_TIMEOUT_S)
        self.logging_client.write_lines_with(None)
        for resource in (self._app_log, self._dialogs, self._folder):
            if resource is not None:
                resource.close()
        self._app_log = self._dialogs = self._folder = self._sink = None

    def health_problem(self) -> str | None:
        """The last write did not reach the disk, or one hangs."""
        return self._disk.problem

    def waits_for_device(self) -> bool:
        """A disk that is full or gone is tried again for as long as it takes."""
        return self._disk.problem is not None

    def diagnostics(self) -> dict[str, str]:
        """How much was written where."""
        folder, app_log, dialogs, sink = self._folder, self._app_log, self._dialogs, self._sink
        if folder is None or app_log is None or dialogs is None or sink is None:
            return {}
        return {
            'log_dir': str(folder.path), 'free_mb': str(folder.free_mb()),
            'app_lines': str(app_log.lines_written),
            'dialog_records': str(sink.records_written),
            'open_dialogs': str(dialogs.open_files),
            'failed_writes': str(self._disk.failed_writes),
        }

    # ROS --------------------------------------------------------------------------------------

    def _offer_services(self) -> None:
        # One request after another: a slow disk holds up its clients, and nothing else.
        group = MutuallyExclusiveCallbackGroup()
        assert self._sink is not None
        for kind, name, answer in ((NewDialog, 'new_dialog', self._sink.new_dialog),
                                   (WriteDialog, 'write_dialog', self._sink.write_dialog),
                                   (WriteApp, 'write_app', self._sink.write_app)):
            service = self.create_service(
                kind, f'logger/{name}', self._while_active(answer), callback_group=group)
            self._ros_parts.append((self.destroy_service, service))
        for period_s, work in ((PROBE_PERIOD_S, self._probe_disk),
                               (RETENTION_PERIOD_S, self._delete_old_dialogs)):
            timer = self.create_timer(period_s, work, callback_group=group)
            self._ros_parts.append((self.destroy_timer, timer))

    def _while_active(self, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def guarded(request: Any, response: Any) -> Any:
            try:
                self.require_active()
            except AssistantError as error:
                response.error_code, response.error_msg = int(error.code), error.message
                return response
            return answer(request, response)
        return guarded

    # Work -------------------------------------------------------------------------------------

    def _write_own_lines(self, batch: AppBatch) -> None:
        app_log = self._app_log
        if app_log is None:
            raise AssistantError(ErrorCode.NOT_ACTIVE, 'the application log is closed')
        with self._disk.writing(APPLICATION_LOG):
            sender = (self._own_sender_id, self.get_name())
            app_log.write(sender, batch.first_sequence, batch.lines)

    def _probe_disk(self) -> None:
        """Find out by itself when the disk is well again: clients may have stopped trying."""
        folder = self._folder
        if folder is None or self._disk.problem is None:
            return
        try:
            with self._disk.writing():
                folder.probe()
        except AssistantError as error:
            self.log.debug('the disk still fails', why=error.message)

    def _delete_old_dialogs(self) -> None:
        dialogs = self._dialogs
        if dialogs is None:
            return
        days = self.setting('retention_days')
        try:
            deleted = dialogs.delete_older_than(days)
        except AssistantError as error:
            self.log.error(error.message)
            return
        if deleted:
            self.log.info('old dialogs deleted', dialogs=len(deleted), days=days)

    def _report_mended(self, dialog_id: str, torn_bytes: int, damaged: int) -> None:
        self.log.warning('dialog file was not whole', dialog=dialog_id,
                         torn_bytes_cut=torn_bytes, damaged_lines_left=damaged)

    def _disk_changed(self, problem: str | None) -> None:
        if problem is None:
            self.log.info('the disk takes writes again')
        else:
            self.log.error('the disk does not take writes, clients keep what they have',
                           why=problem)
