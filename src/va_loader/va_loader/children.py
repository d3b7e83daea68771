# SPDX-License-Identifier: Apache-2.0
"""Starts the processes of the managed nodes and passes on what they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import os
import re
import secrets
import sys

from va_common.config_loader import Config
from va_loader.fork_client import ForkClient
from va_loader.fork_protocol import ForkError
from va_loader.node_specs import SPECS
from va_loader.options import Options
from va_loader.params import ros_arguments, write_parameter_file
from va_loader.places import run_folder
from va_loader.proc_supervisor import ChildProcess, spawn

EARLY = tuple(SPECS)
"""Started before the loader's own part in ROS, so that all imports are done in time."""

# A line that the node's own log has carried to the application log already.
_LOGGED = re.compile(r'\[(DEBUG|INFO|WARN|ERROR|FATAL)\] \[')


class Children:
    """The processes of one loader, by node name.

    Args:
        options: the command line.
        config: the configuration.
        forks: the fork server; None: each process is executed.

    Raises:
        AssistantError: the run folder cannot be used.
        OSError: a parameter file cannot be written.
    """

    def __init__(self, options: Options, config: Config,
                 forks: ForkClient | None = None) -> None:
        folder = run_folder(options.namespace)
        self.parameter_files = {
            name: write_parameter_file(folder, name, config, options.namespace)
            for name in (*SPECS, 'loader')}
        self._options = options
        self._forks = forks
        self._environ = environment(config)
        self._early: dict[str, ChildProcess] = {}
        self._keep: Callable[[str, str], None] = _drop

    def start_early(self) -> None:
        """Start the processes of the first phases; :meth:`spawn` hands them out later."""
        for name in EARLY:
            self._early[name] = self._start(name)

    def spawn(self, name: str) -> ChildProcess:
        """The early process of a node, dead or alive: its death is to be told; else a new one."""
        early = self._early.pop(name, None)
        return early if early is not None else self._start(name)

    def log_with(self, keep: Callable[[str, str], None]) -> None:
        """From now on, lines that no node's log carried go to ``keep`` (name, line)."""
        self._keep = keep

    async def kill_unused(self) -> None:
        """End early processes that were never handed out."""
        for child in self._early.values():
            await child.stop(0.0)
        self._early.clear()

    def _start(self, name: str) -> ChildProcess:
        module = SPECS[name].module
        arguments = ros_arguments(self.parameter_files[name], self._options)
        if self._forks is not None:
            try:
                return self._forks.start(
                    name, module, arguments, self._environ, self._pass_on)
            except ForkError as error:
                # Slower, and everything works.
                self._pass_on(name, f'started without the fork server: {error}')
        command = [sys.executable, '-m', module, *arguments]
        return spawn(name, command, self._pass_on, self._environ)

    def _pass_on(self, name: str, line: str) -> None:
        logged = _LOGGED.match(line) is not None
        print_line(line if logged else f'[{name}] {line}')
        if not logged:
            self._keep(name, line)


def environment(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of loader and nodes."""
    variables = {**environ, 'VA_DDS': str(config.get('system.dds'))}
    # Names this run of the assistant, across restarts of its processes: the logger goes on with
    # the same application log and recognises lines that are sent again.
    variables.setdefault('VA_RUN_ID', secrets.token_hex(8))
    if config.get('system.models_dir') and not environ.get('VA_MODELS_DIR'):
        variables['VA_MODELS_DIR'] = str(config.get('system.models_dir'))
    return variables


def print_line(line: str) -> None:
    """Write to stderr; a terminal that went away does not stop the assistant."""
    try:
        sys.stderr.write(f'{line}\n')
        sys.stderr.flush()
    except OSError:
        # Nobody reads any more (main was killed): the application log has what matters.
        sys.stderr = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115


def _drop(name: str, line: str) -> None:
    """Before the log is there, lines are on stderr only."""
