# SPDX-License-Identifier: Apache-2.0
"""The README's tables of topics, services and actions are what the running graph shows."""
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_are_those_of_the_graph(assistant):
    check = subprocess.run(
        [sys.executable, ROOT / 'scripts/readme_tables.py', '--check', '--graph'],
        capture_output=True, text=True, timeout=60)
    assert check.returncode == 0, check.stdout + check.stderr
