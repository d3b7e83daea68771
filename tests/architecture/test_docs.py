# SPDX-License-Identifier: Apache-2.0
"""The docs are what the code says. (The graph's tables are checked by tests/system.)"""

from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')] + sorted(
    (ROOT / 'docs').glob('*.md'))


def test_the_tables_of_settings_are_up_to_date():
    script = ROOT / 'scripts' / 'readme_tables.py'
    check = subprocess.run([sys.executable, script, '--check'], capture_output=True, text=True,
                           timeout=60)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_no_link_is_dead(page):
    links = re.findall(r'\]\(([^)#:]+)\)', page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_subcommand_of_the_readme_is_one():
    usage = subprocess.run([ROOT / 'va', 'help'], capture_output=True, text=True, timeout=30)
    named = set(re.findall(r'\./va (\w+)', (ROOT / 'README.md').read_text()))
    known = set(re.findall(r'^  (\w+)  ', usage.stdout, re.MULTILINE))
    assert named <= known, usage.stdout
