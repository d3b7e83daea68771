# SPDX-License-Identifier: Apache-2.0
"""An Ollama Modelfile: read and checked as a whole.

Reference: https://docs.ollama.com/modelfile. Both engines obey what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re

from va_common.errors import AssistantError, ErrorCode
from va_llm.engine import ChatMessage, ROLES
from va_llm.modelfile_parameters import PARAMETERS, Value
from va_llm.modelfile_syntax import (
    Command,
    decode,
    ModelfileSyntaxError,
    parse_commands,
    Problem,
)

_VERSION = re.compile(r'v?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?')

ParameterValue = Value | list[str]


class ModelfileError(AssistantError):
    """A Modelfile with mistakes; the message has one line for each."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        lines = [problem.text(path) for problem in problems]
        super().__init__(ErrorCode.INVALID_ARGUMENT, '\n'.join(lines))
        self.path = path
        self.problems = problems


@dataclass(frozen=True)
class Modelfile:
    """A checked Modelfile.

    Where an instruction is repeated the last one counts, as in Ollama; MESSAGE and
    ``PARAMETER stop`` add up.
    """

    path: str
    """Where it was read; ADAPTER and FROM paths are relative to its folder."""
    commands: tuple[Command, ...]

    @property
    def base(self) -> str:
        """FROM: the model it builds on, by name or path."""
        return self._last('FROM')

    @property
    def system(self) -> str:
        """SYSTEM, exactly as written; empty: none."""
        return self._last('SYSTEM')

    @property
    def template(self) -> str:
        """TEMPLATE in Go syntax; empty: the model's own."""
        return self._last('TEMPLATE')

    @property
    def adapter(self) -> str:
        """ADAPTER: path of a LoRA adapter; empty: none."""
        return self._last('ADAPTER')

    @property
    def requires(self) -> str:
        """REQUIRES: the oldest Ollama version that will do, without a leading v; empty: any."""
        return self._last('REQUIRES').removeprefix('v')

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """All MESSAGE lines, in order."""
        return tuple(ChatMessage(c.key, c.value) for c in self._all('MESSAGE'))

    @property
    def parameters(self) -> dict[str, ParameterValue]:
        """PARAMETER values with their types; ``stop`` is a list."""
        values: dict[str, ParameterValue] = {}
        stops: list[str] = []
        for command in self._all('PARAMETER'):
            if command.key == 'stop':
                stops.append(command.value)
            else:
                values[command.key] = PARAMETERS[command.key].parse(command.value)
        if stops:
            values['stop'] = stops
        return values

    @property
    def warnings(self) -> list[str]:
        """What is accepted but has no effect, one line each."""
        return [f'{self.path}:{c.line}: {c.head}: deprecated, Ollama ignores it'
                for c in self._all('PARAMETER') if PARAMETERS[c.key].deprecated]

    @property
    def prefix(self) -> tuple[ChatMessage, ...]:
        """What every conversation begins with: SYSTEM, then the MESSAGE lines."""
        system = (ChatMessage('system', self.system),) if self.system.strip() else ()
        return system + self.messages

    def resolve(self, value: str) -> Path:
        """A path of FROM or ADAPTER: ``~`` expanded, relative to the Modelfile's folder."""
        path = Path(value).expanduser()
        return path if path.is_absolute() else Path(self.path).parent / path

    def ollama_options(self) -> dict[str, ParameterValue]:
        """The parameters that Ollama takes as options of a request; deprecated ones left out."""
        return {key: value for key, value in self.parameters.items()
                if not PARAMETERS[key].deprecated}

    def _all(self, name: str) -> Iterator[Command]:
        return (command for command in self.commands if command.name == name)

    def _last(self, name: str) -> str:
        values = [command.value for command in self._all(name)]
        return values[-1] if values else ''


def load(path: str | Path) -> Modelfile:
    """Read and check a Modelfile.

    Raises:
        ModelfileError: mistakes, each with file, line, instruction and what was expected.
        AssistantError: UNAVAILABLE when the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        message = f'Modelfile {path}: {error.strerror}; expected a readable file'
        raise AssistantError(ErrorCode.UNAVAILABLE, message) from None
    try:
        text = decode(data)
    except ModelfileSyntaxError as error:
        raise ModelfileError(str(path), [error.problem]) from None
    return parse(text, str(path))


def parse(text: str, path: str = 'Modelfile') -> Modelfile:
    """Check the text of a Modelfile; ``path`` is for messages and relative paths.

    Raises:
        ModelfileError: all mistakes at once, up to the first that cannot be read past.
    """
    try:
        commands = parse_commands(text)
    except ModelfileSyntaxError as error:
        raise ModelfileError(path, [error.problem]) from None
    problems = [p for p in map(_problem_of, commands) if p is not None]
    if not any(command.name == 'FROM' for command in commands):
        problems.append(Problem(0, 'FROM', 'missing', 'a line FROM <model>'))
    if problems:
        raise ModelfileError(path, problems)
    return Modelfile(path, tuple(commands))


def _problem_of(command: Command) -> Problem | None:
    if command.name == 'PARAMETER':
        return _parameter_problem(command)
    if command.name == 'MESSAGE' and command.key not in ROLES:
        found = f'role {command.key!r}'
        return Problem(command.line, 'MESSAGE', found, 'one of ' + ', '.join(ROLES))
    if command.name == 'REQUIRES' and not _VERSION.fullmatch(command.value):
        found = f'version {command.value!r}'
        return Problem(command.line, 'REQUIRES', found, 'a version such as 0.14.0')
    if command.name == 'DRAFT':
        return Problem(command.line, 'DRAFT', 'not supported', 'no DRAFT (experimental in Ollama)')
    if command.name in ('FROM', 'ADAPTER') and not command.value:
        return Problem(command.line, command.name, 'no value', 'a model name or a path')
    return None


def _parameter_problem(command: Command) -> Problem | None:
    parameter = PARAMETERS.get(command.key)
    if parameter is None:
        found = f'unknown parameter {command.key!r}'
        known = ', '.join(name for name, p in PARAMETERS.items() if not p.deprecated)
        return Problem(command.line, 'PARAMETER', found, f'one of {known}')
    try:
        parameter.parse(command.value)
    except ValueError as expected:
        return Problem(command.line, command.head, f'{command.value[:40]!r}', str(expected))
    return None
