# SPDX-License-Identifier: Apache-2.0
"""The grammar of an Ollama Modelfile: text to commands and back.

Follows ``parser/parser.go`` of Ollama 0.25: a value ends at the first line end at which its
quotes are closed; quotes are taken off, nothing inside them is an escape; ``#`` is a comment only
where an instruction could begin.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
import re
from typing import Final

INSTRUCTIONS: Final = ('FROM', 'PARAMETER', 'SYSTEM', 'TEMPLATE', 'MESSAGE', 'ADAPTER', 'LICENSE',
                       'REQUIRES', 'RENDERER', 'PARSER', 'DRAFT')

_BLANK: Final = re.compile(r'(?:[ \t\n]+|#[^\n]*)*')
_WORD: Final = re.compile(r'[^ \t\n]*')
_SPACES: Final = re.compile(r'[ \t]*')


@dataclass(frozen=True)
class Command:
    """One instruction with its value, quotes taken off."""

    name: str
    """The instruction in upper case."""
    value: str
    key: str = ''
    """PARAMETER: its name; MESSAGE: the role; in lower case."""
    line: int = 0
    """Where the instruction begins, from 1."""

    @property
    def head(self) -> str:
        """The instruction and its key: ``PARAMETER top_k``."""
        return f'{self.name} {self.key}'.rstrip()


@dataclass(frozen=True)
class Problem:
    """One mistake in a Modelfile."""

    line: int
    """From 1; 0: the file as a whole."""
    instruction: str
    found: str
    expected: str

    def text(self, path: str) -> str:
        """Say it in one line: file, line, instruction, what is wrong, what was expected."""
        place = f'{path}:{self.line}' if self.line else path
        subject = f'{self.instruction}: ' if self.instruction else ''
        return f'{place}: {subject}{self.found}; expected {self.expected}'


class ModelfileSyntaxError(Exception):
    """The text cannot be read beyond ``problem``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text('Modelfile'))
        self.problem = problem


def decode(data: bytes) -> str:
    """Bytes of a Modelfile to text: UTF-8, or what a byte order mark says.

    Raises:
        ModelfileSyntaxError: not such a text.
    """
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode('utf-16' if is_utf16 else 'utf-8-sig')
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        problem = Problem(line, '', f'byte {error.start} is not text', 'UTF-8')
        raise ModelfileSyntaxError(problem) from None


def parse_commands(text: str) -> list[Command]:
    """Split a Modelfile into its commands.

    Raises:
        ModelfileSyntaxError: unknown instruction, quotes never closed, a name without a value.
    """
    text = text.replace('\r\n', '\n').replace('\r', '\n')
    commands = []
    position = _skip(_BLANK, text, 0)
    while position < len(text):
        command, position = _command(text, position)
        commands.append(command)
        position = _skip(_BLANK, text, position)
    return commands


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _command(text: str, start: int) -> tuple[Command, int]:
    line = text.count('\n', 0, start) + 1
    name, position = _word(text, start)
    if name.upper() not in INSTRUCTIONS:
        found = f'unknown instruction {name[:40]!r}'
        raise ModelfileSyntaxError(Problem(line, '', found, 'one of ' + ', '.join(INSTRUCTIONS)))
    name = name.upper()
    key = ''
    if name in ('PARAMETER', 'MESSAGE'):
        key, position = _word(text, position)
        key = key.lower()
    head = Command(name, '', key, line).head
    value, position = _value(text, position, head, line)
    return Command(name, value, key, line), position


def _word(text: str, position: int) -> tuple[str, int]:
    position = _skip(_SPACES, text, position)
    end = _skip(_WORD, text, position)
    return text[position:end], end


def _value(text: str, start: int, head: str, line: int) -> tuple[str, int]:
    end = start
    while True:
        end = text.find('\n', end)
        stop = len(text) if end < 0 else end
        value = unquote(text[start:stop].strip(' \t\n'))
        if value is not None:
            return value, stop
        if end < 0:
            raise ModelfileSyntaxError(_unclosed(text[start:].strip(' \t\n'), head, line))
        end += 1


def _unclosed(raw: str, head: str, line: int) -> Problem:
    mark = '"""' if raw.startswith('"""') else '"'
    if mark in raw[len(mark):]:
        found = f'text after the closing {mark} of the value that begins here'
    else:
        found = f'unclosed {mark}'
    return Problem(line, head, found, f'{mark} at the end of the value, then a new line')


def unquote(raw: str) -> str | None:
    """Take the quotes off a value; None while they are not closed."""
    for mark in ('"""', '"'):
        if raw.startswith(mark):
            closed = len(raw) >= 2 * len(mark) and raw.endswith(mark)
            return raw[len(mark):-len(mark)] if closed else None
    return raw
