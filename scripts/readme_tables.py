#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the generated tables of README.md and docs/ between their markers.

The settings come from va_common.settings. Topics, services and actions come from the graph of a
running assistant, so they are what is really there; their meaning is the first comment of the
type.

    python scripts/readme_tables.py [--graph] [--namespace NAME]   rewrite the files
    python scripts/readme_tables.py --check [--graph]              exit 1 when one is out of date
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
import re
import sys
from typing import Any

from va_common import settings_doc

ROOT = Path(__file__).resolve().parents[1]
FILES = ('README.md', 'docs/settings.md')
NODES = ('logger', 'loader', 'kwd', 'stt', 'llm', 'tts')
GRAPH_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Use:
    """One node's use of one name of the graph."""

    kind: str
    """``topic``, ``service`` or ``action``."""
    name: str
    """Without the namespace."""
    type: str
    node: str
    offers: bool
    """Whether the node publishes or serves it."""


def observe(namespace: str) -> list[Use]:
    """Read the graph of the assistant that runs under ``namespace``.

    Raises:
        TimeoutError: not every node of it was seen in time.
    """
    import rclpy

    rclpy.init()
    node = rclpy.create_node('_readme_tables')
    try:
        _wait_for_nodes(node, namespace)
        return [use for name in NODES for use in _uses_of(node, name, namespace)]
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _wait_for_nodes(node: Any, namespace: str) -> None:
    import rclpy

    deadline = node.get_clock().now().nanoseconds + GRAPH_TIMEOUT_S * 1e9
    while missing := _missing(node, namespace):
        if node.get_clock().now().nanoseconds > deadline:
            raise TimeoutError(f'not in the graph after {GRAPH_TIMEOUT_S:g} s: {missing}')
        rclpy.spin_once(node, timeout_sec=0.1)


def _missing(node: Any, namespace: str) -> set[str]:
    seen = {name for name, space in node.get_node_names_and_namespaces() if space == namespace}
    # A node is seen before what it offers; tts/speak comes with the last of it.
    return {name for name in NODES if name not in seen or not _uses_of(node, name, namespace)}


def _uses_of(node: Any, name: str, namespace: str) -> list[Use]:
    from rclpy.action import graph
    from rclpy.node import NodeNameNonExistentError

    readers: tuple[tuple[str, bool, Callable[..., Iterable[tuple[str, list[str]]]]], ...] = (
        ('topic', True, node.get_publisher_names_and_types_by_node),
        ('topic', False, node.get_subscriber_names_and_types_by_node),
        ('service', True, node.get_service_names_and_types_by_node),
    )
    try:
        found = [Use(kind, *pair, name, offers) for kind, offers, read in readers
                 for pair in _ours(read(name, namespace), namespace)]
        actions = graph.get_action_server_names_and_types_by_node(node, name, namespace)
        return found + [Use('action', *pair, name, True) for pair in _ours(actions, namespace)]
    except NodeNameNonExistentError:
        return []


def _ours(pairs: Iterable[tuple[str, list[str]]], namespace: str) -> list[tuple[str, str]]:
    prefix = namespace.rstrip('/') + '/'
    return [(name.removeprefix(prefix), types[0].split('/')[-1]) for name, types in pairs
            if types[0].startswith('va_interfaces/') and '/_action/' not in name]


def interface_table(kind: str, uses: list[Use]) -> str:
    """One table: name, type, who offers it, who takes it, meaning."""
    head = '| topic | type | from | to | |' if kind == 'topic' else f'| {kind} | type | of | |'
    lines = [head, '|---' * (head.count('|') - 1) + '|']
    for name in sorted({use.name for use in uses if use.kind == kind}):
        lines.append(_interface_row([u for u in uses if (u.kind, u.name) == (kind, name)]))
    return '\n'.join(lines)


def _interface_row(found: list[Use]) -> str:
    first = found[0]
    offers = ', '.join(sorted({use.node for use in found if use.offers})) or 'a robot'
    takes = ', '.join([*sorted({use.node for use in found if not use.offers}), 'anyone'])
    ends = f'{offers} | {takes}' if first.kind == 'topic' else offers
    return f'| `/{first.name}` | `{first.type}` | {ends} | {_meaning(first.type)} |'


def _meaning(kind: str) -> str:
    """The first sentence of the comment that begins the type's file."""
    path = next((ROOT / 'src' / 'va_interfaces').glob(f'*/{kind}.*'))
    comment = []
    for line in path.read_text().splitlines():
        if not line.startswith('# '):
            break
        comment.append(line.removeprefix('# '))
    return ' '.join(comment).split('. ')[0].rstrip('.')


def render(text: str, tables: dict[str, str]) -> str:
    """The text with what is between ``<!-- table:X -->`` and ``<!-- end -->`` made anew."""
    def replace(match: re.Match[str]) -> str:
        table = tables.get(match[1])
        return match[0] if table is None else f'<!-- table:{match[1]} -->\n{table}\n<!-- end -->'

    return re.sub(r'<!-- table:(\w+) -->\n.*?<!-- end -->', replace, text, flags=re.DOTALL)


def make_tables(graph: bool, namespace: str) -> dict[str, str]:
    """The tables by the names of their markers."""
    tables = {'settings': settings_doc.markdown().rstrip('\n')}
    if graph:
        uses = observe(namespace)
        for kind in ('topic', 'service', 'action'):
            tables[f'{kind}s'] = interface_table(kind, uses)
    return tables


def main() -> int:
    """Rewrite or check the files."""
    parser = argparse.ArgumentParser(description='generated tables of the docs')
    parser.add_argument('--check', action='store_true', help='write nothing')
    parser.add_argument('--graph', action='store_true', help='also from a running assistant')
    parser.add_argument('--namespace', default='/', help='of that assistant')
    options = parser.parse_args()
    tables = make_tables(options.graph, options.namespace)
    stale = []
    for name in FILES:
        path = ROOT / name
        text = path.read_text()
        if render(text, tables) != text:
            stale.append(name)
            if not options.check:
                path.write_text(render(text, tables))
    if options.check and stale:
        print(f'out of date: {", ".join(stale)}; run python scripts/readme_tables.py')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
