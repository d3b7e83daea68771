# SPDX-License-Identifier: Apache-2.0
"""What the architecture asks of the sources: plain logic knows no ROS, models load when asked."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'va_kwd'
ADAPTERS = {'node.py', 'main.py'}
LOGIC = sorted(path for path in PACKAGE.glob('*.py') if path.name not in ADAPTERS)
ROS = {'rclpy', 'va_interfaces', 'builtin_interfaces', 'std_msgs'}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or '').split('.')[0]


@pytest.mark.parametrize('path', LOGIC, ids=lambda path: path.name)
def test_plain_logic_imports_no_ros(path):
    assert not ROS & set(imports(path))


def test_the_node_imports_neither_models_nor_scikit_learn():
    code = ('import sys, va_kwd.node; '
            'sys.exit(any(m in sys.modules for m in ("onnxruntime", "openwakeword", "sklearn")))')
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0
