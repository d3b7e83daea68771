# SPDX-License-Identifier: Apache-2.0
"""The command line of main and loader, and the configuration that results from it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from va_common.config_files import config_file
from va_common.config_loader import Config, load
from va_common.errors import AssistantError, ErrorCode
from va_loader.places import namespace_of


@dataclass(frozen=True)
class Options:
    """What a person asked for on the command line."""

    config: Path | None = None
    """None: config/assistant.ini."""
    profile: str = ''
    """Overrides ``[system] profile`` unless empty."""
    namespace: str = ''
    """``/robot1`` or empty."""
    log_level: str = ''
    """Overrides ``[system] log_level`` unless empty."""
    params_file: Path | None = None
    """A ROS parameter file laid over the configuration."""

    def arguments(self) -> list[str]:
        """The command line that means the same."""
        pairs = {'--config': self.config, '--profile': self.profile,
                 '--namespace': self.namespace, '--log-level': self.log_level,
                 '--params-file': self.params_file}
        return [text for flag, value in pairs.items() if value for text in (flag, str(value))]

    def read(self) -> Config:
        """Read and check the configuration.

        Raises:
            ConfigError: with every mistake in the file.
            AssistantError: there is no such file.
        """
        path = self.config or config_file('assistant.ini')
        config = load(path)
        changes = {'system.profile': self.profile, 'system.log_level': self.log_level}
        values = {**config.values, **{k: v for k, v in changes.items() if v}}
        return replace(config, values=values)


def parse(program: str, argv: Sequence[str]) -> Options:
    """Read a command line; ROS arguments at its end are left out.

    Raises:
        AssistantError: INVALID_ARGUMENT, a namespace or file that cannot be.
        SystemExit: 2 for a wrong option, 0 for ``--help``.
    """
    own = list(argv[:argv.index('--ros-args')]) if '--ros-args' in argv else list(argv)
    given = _parser(program).parse_args(own)
    options = Options(
        config=given.config.absolute() if given.config else None, profile=given.profile,
        namespace=namespace_of(given.namespace), log_level=given.log_level,
        params_file=given.params_file.absolute() if given.params_file else None)
    if options.params_file is not None and not options.params_file.is_file():
        raise AssistantError(
            ErrorCode.INVALID_ARGUMENT,
            f'--params-file {options.params_file}: expected a ROS parameter file')
    return options


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description='The local voice assistant.')
    parser.add_argument('--config', type=_path, default=None, metavar='FILE',
                        help='configuration; default: config/assistant.ini')
    parser.add_argument('--profile', default='', choices=('', 'auto', 'cpu', 'cuda'),
                        metavar='auto|cpu|cuda', help='overrides [system] profile')
    parser.add_argument('--namespace', default='', help='ROS namespace, for example robot1')
    parser.add_argument('--log-level', default='', metavar='debug|info|warning|error',
                        choices=('', 'debug', 'info', 'warning', 'error'),
                        help='overrides [system] log_level')
    parser.add_argument('--params-file', type=_path, default=None, metavar='FILE',
                        help='ROS parameter file, laid over the configuration')
    return parser


def _path(text: str) -> Path | None:
    """A launch file passes an empty text for what was not given."""
    return Path(text).expanduser() if text else None
