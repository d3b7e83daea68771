# SPDX-License-Identifier: Apache-2.0
"""The part of Go's text/template that chat templates of Modelfiles use, for llama.cpp.

Supported: text, ``{{-`` and ``-}}``, comments, ``.Field``, ``$.Field``, ``if``/``else if``/
``else``, ``range .Messages``, ``and``, ``or``, ``not``, ``eq``, ``ne``, parentheses, string
literals. Anything else (functions, variables, ``with``, tools) is refused when it is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import re
from typing import Any, Final

from va_common.errors import AssistantError, ErrorCode

Scope = Mapping[str, Any]
Expression = Callable[[Scope, Scope], Any]
"""Takes the dot and the root."""

_ACTION: Final = re.compile(r'\{\{(-(?=\s))?(.*?)((?<=\s)-)?\}\}', re.DOTALL)
_TOKEN: Final = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[()]|\$?(?:\.[A-Za-z]\w*)+|\.|[^\s()]+)')
_FIELD: Final = re.compile(r'(\$?)((?:\.[A-Za-z]\w*)+)')
_ESCAPES: Final = {'n': '\n', 't': '\t', 'r': '\r', '"': '"', '\\': '\\'}
_SUPPORTED: Final = (
    'if, else, end, range .Messages, and, or, not, eq, ne and fields such as .System')


@dataclass
class Text:
    """Literal text."""

    text: str


@dataclass
class Output:
    """``{{ expression }}``."""

    value: Expression
    fields: tuple[str, ...]


@dataclass
class Branch:
    """``if`` or ``range`` with its ``else``."""

    is_range: bool
    value: Expression
    fields: tuple[str, ...]
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)


Node = Text | Output | Branch


class _Refused(Exception):
    """Not in the supported part of the language."""


def parse_template(source: str, where: str = 'TEMPLATE') -> list[Node]:
    """Parse a template.

    Raises:
        AssistantError: INVALID_ARGUMENT, naming what is not supported and what is.
    """
    try:
        return _Parser(source).parse()
    except _Refused as refused:
        message = (f'{where}: {refused}; expected of a template for llama.cpp: {_SUPPORTED} '
                   '(or leave TEMPLATE out: the model brings its own)')
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message) from None


def fields_of(nodes: list[Node]) -> set[str]:
    """Names of all fields that a template uses, in lower case."""
    names: set[str] = set()
    for node in nodes:
        if not isinstance(node, Text):
            names.update(name.lower() for name in node.fields)
        if isinstance(node, Branch):
            names |= fields_of(node.body) | fields_of(node.other)
    return names


def execute(nodes: list[Node], root: Scope, dot: Scope | None = None) -> str:
    """Fill a template in; what the scope lacks is empty."""
    dot = root if dot is None else dot
    return ''.join(_execute_node(node, dot, root) for node in nodes)


def cut_after_response(nodes: list[Node]) -> tuple[list[Node], bool]:
    """Drop everything after ``{{ .Response }}``: that is where the model goes on writing."""
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, Branch):
            body, cut = cut_after_response(node.body)
            other, other_cut = ([], True) if cut else cut_after_response(node.other)
            kept.append(Branch(node.is_range, node.value, node.fields, body, other))
            if cut or other_cut:
                return kept, True
            continue
        kept.append(node)
        if isinstance(node, Output) and 'Response' in node.fields:
            return kept, True
    return kept, False


def _execute_node(node: Node, dot: Scope, root: Scope) -> str:
    if isinstance(node, Text):
        return node.text
    value = node.value(dot, root)
    if isinstance(node, Output):
        return '' if value is None else str(value)
    if not node.is_range:
        return execute(node.body if value else node.other, root, dot)
    if not value:
        return execute(node.other, root, dot)
    return ''.join(execute(node.body, root, item) for item in value)


class _Parser:
    """One pass over the actions, with a stack of open branches."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._root: list[Node] = []
        self._stack: list[tuple[Branch, int]] = []  # with how many ends close it
        self._here = self._root

    def parse(self) -> list[Node]:
        position = 0
        trim = False
        for match in _ACTION.finditer(self._source):
            self._text(self._source[position:match.start()], trim, bool(match[1]))
            self._action(match[2].strip())
            position, trim = match.end(), bool(match[3])
        rest = self._source[position:]
        if '{{' in rest:
            raise _Refused('unclosed {{')
        self._text(rest, trim, False)
        if self._stack:
            raise _Refused('an if or range without end')
        return self._root

    def _text(self, text: str, trim_left: bool, trim_right: bool) -> None:
        text = text.lstrip() if trim_left else text
        text = text.rstrip() if trim_right else text
        if text:
            self._here.append(Text(text))

    def _action(self, source: str) -> None:
        if source.startswith('/*') and source.endswith('*/'):
            return
        word, _, rest = source.partition(' ')
        if word in ('if', 'range'):
            self._open(word == 'range', rest.strip(), 1)
        elif word == 'else':
            self._else(rest.strip())
        elif word == 'end':
            self._end()
        else:
            value, fields = _expression(source)
            self._here.append(Output(value, fields))

    def _open(self, is_range: bool, source: str, depth: int) -> None:
        value, fields = _expression(source)
        if is_range and fields != ('Messages',):
            raise _Refused(f'range {source[:40]!r}')
        branch = Branch(is_range, value, fields)
        self._here.append(branch)
        self._stack.append((branch, depth))
        self._here = branch.body

    def _else(self, rest: str) -> None:
        if not self._stack:
            raise _Refused('else without if')
        branch, depth = self._stack[-1]
        self._here = branch.other
        if rest:
            if not rest.startswith('if '):
                raise _Refused(f'else {rest[:40]!r}')
            self._open(False, rest[3:].strip(), depth + 1)

    def _end(self) -> None:
        if not self._stack:
            raise _Refused('end without if or range')
        _, depth = self._stack[-1]
        del self._stack[-depth:]
        self._here = self._innermost()

    def _innermost(self) -> list[Node]:
        if not self._stack:
            return self._root
        branch, _ = self._stack[-1]
        # Inside the else part as soon as that has been opened; nodes go where they went before.
        return branch.other if branch.other else branch.body


def _expression(source: str) -> tuple[Expression, tuple[str, ...]]:
    tokens = _TOKEN.findall(source)
    if not tokens:
        raise _Refused('an empty action')
    value, rest, fields = _call(tokens)
    if rest:
        raise _Refused(f'{source[:40]!r}')
    return value, tuple(fields)


def _call(tokens: list[str]) -> tuple[Expression, list[str], list[str]]:
    """A function with its operands, or one operand; returns the tokens that are left."""
    name = tokens[0]
    if name not in _FUNCTIONS:
        return _operand(tokens)
    operands, rest, fields = [], tokens[1:], []
    while rest and rest[0] != ')':
        operand, rest, names = _operand(rest)
        operands.append(operand)
        fields += names
    minimum = 1 if name == 'not' else 2
    if len(operands) < minimum or (name == 'not' and len(operands) > 1):
        raise _Refused(f'{name} with {len(operands)} operands')
    function = _FUNCTIONS[name]
    return lambda dot, root: function([o(dot, root) for o in operands]), rest, fields


def _operand(tokens: list[str]) -> tuple[Expression, list[str], list[str]]:
    token, rest = tokens[0], tokens[1:]
    if token == '(':
        value, rest, fields = _call(rest) if rest else _refuse('(')
        if not rest or rest[0] != ')':
            raise _Refused('unclosed (')
        return value, rest[1:], fields
    match = _FIELD.fullmatch(token)
    if match:
        return _field(match[1] == '$', match[2].split('.')[1:]), rest, [match[2].split('.')[1]]
    if token[0] in '"`' and token[-1] == token[0] and len(token) > 1:
        text = _literal(token)
        return lambda dot, root: text, rest, []
    raise _Refused(f'{token[:40]!r}')


def _refuse(token: str) -> Any:
    raise _Refused(f'{token!r} at the end')


def _field(from_root: bool, names: list[str]) -> Expression:
    def value(dot: Scope, root: Scope) -> Any:
        at: Any = root if from_root else dot
        for name in names:
            at = at.get(name, '') if isinstance(at, Mapping) else ''
        return at
    return value


def _literal(token: str) -> str:
    if token[0] == '`':
        return token[1:-1]
    return re.sub(r'\\(.)', lambda m: _ESCAPES.get(m[1], m[1]), token[1:-1])


def _and(values: list[Any]) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(values: list[Any]) -> Any:
    return next((value for value in values if value), values[-1])


_FUNCTIONS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    'and': _and,
    'or': _or,
    'not': lambda values: not values[0],
    'eq': lambda values: values[0] in values[1:],
    'ne': lambda values: values[0] != values[1],
}
