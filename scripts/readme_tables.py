#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the generated tables of README.md and docs/ between their markers.

The topics, services and actions come from the nodes' source, their meaning from the first
comment of the type, the settings from va_common.settings.

    python scripts/readme_tables.py          rewrite the files
    python scripts/readme_tables.py --check  exit 1 when a file is not up to date
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
import re
import sys

ROOT = Path(__file__).resolve().parents[1]
FILES = ('README.md', 'docs/settings.md')

# Call -> (kind, index of the type among the arguments, whether this side offers it).
CALLS = {
    'create_publisher': ('topic', 0, True),
    'create_lifecycle_publisher': ('topic', 0, True),
    'create_subscription': ('topic', 0, False),
    'create_service': ('service', 0, True),
    'create_client': ('service', 0, False),
    'ActionServer': ('action', 1, True),
    'ActionClient': ('action', 1, False),
}


@dataclass(frozen=True)
class Use:
    """One node's use of one name."""

    kind: str
    name: str
    type: str
    node: str
    offers: bool


def uses() -> list[Use]:
    """Every topic, service and action that the nodes' source names, except diagnostics."""
    found = []
    for path in sorted((ROOT / 'src').glob('va_*/va_*/*.py')):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call):
                found += _use(call, path.parent.name.removeprefix('va_'))
    return found


def _use(call: ast.Call, node: str) -> list[Use]:
    function = call.func.attr if isinstance(call.func, ast.Attribute) else \
        call.func.id if isinstance(call.func, ast.Name) else ''
    if function not in CALLS:
        return []
    kind, first, offers = CALLS[function]
    # Node.create_publisher(self, …) has the node as its first argument.
    arguments = [a for a in call.args if ast.unparse(a) != 'self' or first]
    if len(arguments) < first + 2 or not isinstance(arguments[first + 1], ast.Constant):
        return []
    name = arguments[first + 1].value
    if not isinstance(name, str) or name.startswith('/'):
        return []
    owner = name.split('/')[0] if node == 'common' else node
    return [Use(kind, name, ast.unparse(arguments[first]).split('.')[-1], owner, offers)]


def interface_table(kind: str) -> str:
    """One table: name, type, from, to, meaning."""
    rows = {'topic': '| topic | type | from | to | |', 'service': '| service | type | of | |',
            'action': '| action | type | of | |'}
    lines = [rows[kind], '|---' * (rows[kind].count('|') - 1) + '|']
    all_uses = [use for use in uses() if use.kind == kind]
    for name in sorted({use.name for use in all_uses}):
        lines.append(_interface_row(kind, name, [u for u in all_uses if u.name == name]))
    return '\n'.join(lines)


def _interface_row(kind: str, name: str, found: list[Use]) -> str:
    kind_of = found[0].type
    offers = ', '.join(sorted({use.node for use in found if use.offers})) or 'a robot'
    wants = ', '.join(sorted({use.node for use in found if not use.offers}) + ['anyone'])
    ends = f'{offers} | {wants}' if kind == 'topic' else offers
    return f'| `/{name}` | `{kind_of}` | {ends} | {_meaning(kind_of)} |'


def _meaning(kind: str) -> str:
    path = next((ROOT / 'src' / 'va_interfaces').glob(f'*/{kind}.*'))
    first = path.read_text().splitlines()[0]
    return first.removeprefix('# ') if first.startswith('#') else ''


def settings_table() -> str:
    """The table of all settings."""
    sys.path.insert(0, str(ROOT / 'src' / 'va_common'))
    from va_common import settings_doc

    return settings_doc.markdown().rstrip('\n')


TABLES = {
    'topics': lambda: interface_table('topic'),
    'services': lambda: interface_table('service'),
    'actions': lambda: interface_table('action'),
    'settings': settings_table,
}


def render(text: str) -> str:
    """The text with everything between ``<!-- table:X -->`` and ``<!-- end -->`` made anew."""
    def replace(match: re.Match[str]) -> str:
        return f'<!-- table:{match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->'

    return re.sub(r'<!-- table:(\w+) -->\n.*?<!-- end -->', replace, text, flags=re.DOTALL)


def main() -> int:
    """Rewrite or check the files."""
    stale = []
    for name in FILES:
        path = ROOT / name
        text = path.read_text()
        if render(text) != text:
            stale.append(name)
            if '--check' not in sys.argv:
                path.write_text(render(text))
    if '--check' in sys.argv and stale:
        print(f'out of date: {", ".join(stale)}; run python scripts/readme_tables.py')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
