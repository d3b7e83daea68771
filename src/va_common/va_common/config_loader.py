# SPDX-License-Identifier: Apache-2.0
"""Reads ``assistant.ini`` and checks it as a whole: every mistake is found, with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from va_common.errors import AssistantError, ErrorCode
from va_common.settings import by_name, of_section, SECTIONS, Setting, SETTINGS, SettingValue


class ConfigError(AssistantError):
    """The configuration has mistakes; ``problems`` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(ErrorCode.INVALID_ARGUMENT, '\n'.join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """A checked configuration: every setting has a value of its type and range."""

    values: Mapping[str, SettingValue]
    """By ``section.key``."""
    path: Path | None = None

    def get(self, name: str) -> SettingValue:
        """The value of ``section.key``. Raises KeyError when there is no such setting."""
        return self.values[name]

    def section(self, section: str) -> dict[str, SettingValue]:
        """The values of one section by key."""
        return {s.key: self.values[s.name] for s in of_section(section)}


def defaults() -> Config:
    """The configuration that an empty file gives."""
    return Config({setting.name: setting.default for setting in SETTINGS})


def load(path: Path) -> Config:
    """Read and check one ini file.

    The format: ``[section]``, ``key=value``, comments on lines of their own with ``#`` or ``;``.

    Raises:
        ConfigError: with every mistake as ``file:line: key: what is wrong, what was expected``.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f'{path}: cannot be read: {error}']) from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Check the text of an ini file; ``path`` is for the messages. Raises as :func:`load`."""
    reader = _Reader(path)
    for number, line in enumerate(text.splitlines(), start=1):
        reader.take(number, line.strip())
    if reader.problems:
        raise ConfigError(reader.problems)
    return Config({**defaults().values, **reader.values}, path)


def parse_value(setting: Setting, text: str) -> SettingValue:
    """The value of a setting from its text.

    Raises:
        ValueError: wrong type or out of range; its text says what was expected.
    """
    try:
        value = _CONVERT[setting.kind](text)
    except ValueError:
        raise ValueError(f'{text!r} is not allowed, expected {setting.expected}') from None
    check_value(setting, value)
    return value


def check_value(setting: Setting, value: SettingValue) -> None:
    """Raise ValueError when a value of the right type is not one that the setting allows."""
    if setting.choices and value not in setting.choices:
        raise ValueError(f'{value!r} is not allowed, expected {setting.expected}')
    if setting.minimum is None or setting.maximum is None:
        return
    for number in value if isinstance(value, tuple) else (value,):
        assert isinstance(number, (int, float))
        if not setting.minimum <= number <= setting.maximum:
            raise ValueError(f'{number!r} is out of range, expected {setting.expected}')


class _Reader:
    """Collects values and problems line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._section: str | None = None
        self._lines: dict[str, int] = {}
        self.values: dict[str, SettingValue] = {}
        self.problems: list[str] = []

    def take(self, number: int, line: str) -> None:
        if not line or line[0] in '#;':
            return
        if line.startswith('['):
            self._take_section(number, line)
        elif '=' not in line:
            self._problem(number, f'{line!r}: expected key=value or [section]')
        elif self._section is None:
            self._problem(number, f'{line!r}: stands before the first [section]')
        elif self._section:
            key, _, value = line.partition('=')
            self._take_value(number, key.strip(), value.strip())

    def _take_section(self, number: int, line: str) -> None:
        name = line[1:-1].strip() if line.endswith(']') else ''
        if name in SECTIONS:
            self._section = name
            return
        # Empty: the lines below an unknown section are not complained about one by one.
        self._section = ''
        expected = ', '.join(f'[{section}]' for section in SECTIONS)
        self._problem(number, f'{line}: unknown section, expected one of {expected}')

    def _take_value(self, number: int, key: str, text: str) -> None:
        name = f'{self._section}.{key}'
        setting = by_name().get(name)
        if setting is None:
            self._problem(number, f'{key}: unknown key in [{self._section}]{self._hint(key)}')
            return
        if name in self._lines:
            self._problem(number, f'{key}: already set in line {self._lines[name]}')
            return
        self._lines[name] = number
        try:
            self.values[name] = parse_value(setting, text)
        except ValueError as error:
            self._problem(number, f'{key}: {error}')

    def _hint(self, key: str) -> str:
        assert self._section
        keys = [setting.key for setting in of_section(self._section)]
        close = get_close_matches(key, keys, n=1)
        if close:
            return f', did you mean {close[0]}?'
        elsewhere = [s.section for s in SETTINGS if s.key == key]
        if elsewhere:
            return f', it belongs to [{elsewhere[0]}]'
        return f', expected one of {", ".join(keys)}'

    def _problem(self, number: int, text: str) -> None:
        self.problems.append(f'{self._path}:{number}: {text}')


def _to_bool(text: str) -> bool:
    words = {'true': True, 'yes': True, 'on': True, '1': True,
             'false': False, 'no': False, 'off': False, '0': False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _to_int_list(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(','))


def _to_str_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(';') if part.strip())


def _to_float(text: str) -> float:
    number = float(text)
    if number != number or number in (float('inf'), float('-inf')):
        raise ValueError(text)
    return number


_CONVERT: dict[str, Callable[[str], SettingValue]] = {
    'bool': _to_bool,
    'int': int,
    'float': _to_float,
    'str': str,
    'int_list': _to_int_list,
    'str_list': _to_str_list,
}
