# SPDX-License-Identifier: Apache-2.0
"""Lint: ruff and mypy over everything; the first part of ./va test."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ('src', 'scripts', 'tests', 'bench', 'launch', 'examples')


def typed_folders() -> list[str]:
    """Return what mypy looks at: packages, scripts, benches, the virtual room; tests: ruff."""
    packages = [path.parent for path in sorted(ROOT.glob('src/*/*/__init__.py'))
                if path.parent.name == path.parent.parent.name]
    scripts = [ROOT / 'scripts/va_setup', *sorted(ROOT.glob('scripts/*.py'))]
    room = [path for path in sorted(ROOT.glob('tests/virtual_room/*.py'))
            if not path.name.startswith(('test_', 'conftest'))]
    return [str(path.relative_to(ROOT))
            for path in [*packages, *scripts, *sorted(ROOT.glob('bench/**/*.py')), *room]]


def commands() -> list[list[str]]:
    """Return the commands, in order."""
    present = [folder for folder in FOLDERS if (ROOT / folder).is_dir()]
    return [
        [sys.executable, '-m', 'ruff', 'check', '--quiet', '--output-format', 'concise', *present],
        [sys.executable, '-m', 'mypy', '--no-error-summary', *typed_folders()],
    ]


def main() -> int:
    """Run every linter; return 1 when one complains."""
    failed = False
    for command in commands():
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        print(f'lint: {command[2]}: {"passed" if code == 0 else "failed"}', flush=True)
        failed = failed or code != 0
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
