# SPDX-License-Identifier: Apache-2.0
"""What ``main`` checks before anything starts: each mistake is one clear message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import importlib.util
import os
from pathlib import Path
import platform
import sys

from va_common.config_loader import Config, ConfigError
from va_common.errors import AssistantError, ErrorCode
from va_common.log_places import log_folder
from va_common.model_catalogue import load_catalogue, models_dir, verify
from va_common.ports import PORTS
from va_common.profile import Profile, resolve
from va_loader.exit_codes import EXIT_CONFIGURATION, EXIT_FATAL, EXIT_TAKEN
from va_loader.instance import InstanceLock, require_free_ports
from va_loader.options import Options, parse
from va_loader.places import run_folder

PYTHONS = ((3, 10), (3, 13))
MODULES = ('rclpy', 'va_interfaces', 'grpc', 'numpy')


class BootstrapError(Exception):
    """The assistant cannot start; ``problems`` has one line for each mistake."""

    def __init__(self, exit_code: int, problems: Sequence[str]) -> None:
        super().__init__('\n'.join(problems))
        self.exit_code = exit_code
        self.problems = list(problems)


@dataclass(frozen=True)
class Prepared:
    """Everything that was checked, and the lock that keeps others out."""

    options: Options
    config: Config
    profile: Profile
    log_folder: Path
    lock: InstanceLock


def prepare(argv: Sequence[str]) -> Prepared:
    """Check everything, cheap things first; nothing has been started when this raises.

    Raises:
        BootstrapError: with exit code 2 for the configuration, 3 for a second instance or a
            taken port, 1 for the rest.
        SystemExit: from the option parser.
    """
    _raise(EXIT_FATAL, python_problems())
    try:
        options = parse('main', argv)
        config = options.read()
        profile = resolve(str(config.get('system.profile')))
    except ConfigError as error:
        raise BootstrapError(EXIT_CONFIGURATION, error.problems) from error
    except AssistantError as error:
        raise BootstrapError(EXIT_CONFIGURATION, [error.message]) from error
    _raise(EXIT_FATAL, model_problems(config, profile.name))
    logs = log_folder(str(config.get('logger.log_dir')), options.namespace)
    _raise(EXIT_FATAL, log_folder_problems(logs))
    return Prepared(options, config, profile, logs, _take_place(options, config, logs))


def python_problems() -> list[str]:
    """What is wrong with the interpreter and its packages."""
    problems = []
    low, high = ('.'.join(map(str, version)) for version in PYTHONS)
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        problems.append(f'Python {platform.python_version()}: expected {low} to {high}')
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        machine = f'{platform.system()} {platform.machine()}'
        problems.append(f'platform {machine}: expected Linux x86_64')
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        problems.append(f'Python package {", ".join(missing)}: not installed; ./va setup '
                        f'installs it, or source your ROS 2 workspace')
    return problems


def model_problems(config: Config, profile: str) -> list[str]:
    """Which files of the profile's models are missing or have the wrong size."""
    root = models_dir(str(config.get('system.models_dir')))
    wanted = [model for model in load_catalogue().values()
              if profile in model.profiles and not model.optional
              and not any(source.kind == 'ollama' for source in model.sources)]
    return [str(problem) for model in wanted for problem in verify(model, root, deep=False)]


def log_folder_problems(folder: Path) -> list[str]:
    """Whether the logs can be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return [f'log folder {folder}: {error.strerror}; expected a folder that can be written']
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f'log folder {folder}: not writable; expected a folder that can be written']
    return []


def ports_of(config: Config) -> list[int]:
    """The gRPC health ports of this assistant."""
    offset = int(str(config.get('system.port_offset')))
    return [port + offset for port in PORTS.values()]


def _take_place(options: Options, config: Config, logs: Path) -> InstanceLock:
    try:
        lock = InstanceLock(run_folder(options.namespace))
    except AssistantError as error:
        code = EXIT_TAKEN if error.code == ErrorCode.UNAVAILABLE else EXIT_FATAL
        raise BootstrapError(code, [error.message]) from error
    try:
        require_free_ports(ports_of(config))
    except AssistantError as error:
        lock.release()
        raise BootstrapError(EXIT_TAKEN, [error.message]) from error
    lock.describe(ports=ports_of(config), config=str(config.path), log_folder=str(logs))
    return lock


def _raise(exit_code: int, problems: list[str]) -> None:
    if problems:
        raise BootstrapError(exit_code, problems)
