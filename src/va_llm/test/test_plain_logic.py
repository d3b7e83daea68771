# SPDX-License-Identifier: Apache-2.0
"""What the architecture asks of the sources: plain logic knows no ROS, engines when chosen."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'va_llm'
ADAPTERS = {'node.py', 'main.py', 'completion_action.py'}
LOGIC = sorted(path for path in PACKAGE.glob('*.py') if path.name not in ADAPTERS)
ROS = {'rclpy', 'va_interfaces', 'builtin_interfaces', 'std_msgs'}
ENGINES = {'ollama_client.py': {'ollama', 'httpx'}, 'llama_cpp_engine.py': {'xllamacpp'}}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or '').split('.')[0]


@pytest.mark.parametrize('path', LOGIC, ids=lambda path: path.name)
def test_plain_logic_imports_no_ros(path):
    assert not ROS & set(imports(path))


@pytest.mark.parametrize('path', sorted(PACKAGE.glob('*.py')), ids=lambda path: path.name)
def test_one_module_per_engine(path):
    libraries = {'ollama', 'httpx', 'xllamacpp'} & set(imports(path))
    assert libraries <= ENGINES.get(path.name, set())


def test_the_node_imports_no_engine():
    code = ('import sys, va_llm.node; '
            'sys.exit(any(m in sys.modules for m in ("ollama", "httpx", "xllamacpp")))')
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0
