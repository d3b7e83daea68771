# SPDX-License-Identifier: Apache-2.0
"""The rules of the code base, enforced."""

from __future__ import annotations

import ast
from pathlib import Path
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / 'src'
PACKAGES = sorted(path.parent.name for path in SRC.glob('*/package.xml'))
PYTHON_PACKAGES = [name for name in PACKAGES if (SRC / name / 'setup.py').exists()]
MODULES = sorted(p for name in PYTHON_PACKAGES for p in (SRC / name / name).rglob('*.py'))
OUR_FILES = MODULES + sorted(
    p for folder in ('tests', 'bench', 'examples', 'launch', 'scripts', 'docs')
    for p in (ROOT / folder).rglob('*.py'))

# Modules that adapt to ROS; everything else is plain logic.
ROS_MODULES = {
    'va_common': {'audio_messages', 'lifecycle', 'logging_client', 'node_log', 'node_main',
                  'node_settings', 'qos', 'ros_time', 'spinning', 'testing'},
}
ROS_LIBRARIES = {'rclpy', 'va_interfaces', 'std_msgs', 'diagnostic_msgs', 'lifecycle_msgs',
                 'rcl_interfaces', 'builtin_interfaces', 'action_msgs'}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def top_level(names: set[str]) -> set[str]:
    return {name.split('.')[0] for name in names}


def test_the_packages_of_the_contract_are_there():
    assert set(PACKAGES) == {'va_interfaces', 'va_common', 'va_kwd', 'va_stt', 'va_llm', 'va_tts',
                             'va_logger', 'va_loader'}


@pytest.mark.parametrize('name', PYTHON_PACKAGES)
def test_no_node_imports_another(name):
    """Nodes meet over ROS; what they share is in va_common."""
    others = {other for other in PYTHON_PACKAGES if other not in (name, 'va_common')}
    found = {str(p.relative_to(SRC)): top_level(imports_of(p)) & others
             for p in (SRC / name / name).rglob('*.py')}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize('name', PYTHON_PACKAGES)
def test_every_ros_import_is_declared(name):
    tree = ElementTree.parse(SRC / name / 'package.xml').getroot()
    declared = {e.text for e in tree if e.tag.endswith('depend')}
    used = top_level(set().union(*(imports_of(p) for p in (SRC / name / name).rglob('*.py'))))
    ros = {lib for lib in used if lib in ROS_LIBRARIES or lib in PACKAGES} - {name}
    assert not ros - declared


@pytest.mark.parametrize('name', PACKAGES)
def test_one_version_for_all(name):
    tree = ElementTree.parse(SRC / name / 'package.xml').getroot()
    assert tree.findtext('version') == '0.1.0'
    setup = SRC / name / 'setup.py'
    if setup.exists():
        assert re.search(r"version='0\.1\.0'", setup.read_text())
        assert (SRC / name / name / 'py.typed').exists()
    assert '0.1.0' in (SRC / name / 'CHANGELOG.rst').read_text()


@pytest.mark.parametrize('path', OUR_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_states_its_licence(path):
    assert 'SPDX-License-Identifier: Apache-2.0' in path.read_text()[:200]


@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_module_stays_small(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize('path', MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_no_exception_is_swallowed_and_nothing_sleeps(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f'bare except in line {node.lineno}'
            broad = isinstance(node.type, ast.Name) and node.type.id in (
                'Exception', 'BaseException')
            silent = all(isinstance(s, ast.Pass) for s in node.body)
            assert not (broad and silent), f'except: pass in line {node.lineno}'
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'time.sleep':
            raise AssertionError(f'time.sleep in line {node.lineno}')


def test_no_machine_path_or_registry_is_named():
    wrong = re.compile(r'/work/|/root/|pypi\.org|registry\.npmjs|deb\.debian')
    suffixes = {'.py', '.md', '.toml', '.ini', '.xml', '.sh', '.lock', '.in', '.rst', '.cfg'}
    here = Path(__file__)
    files = [p for p in ROOT.rglob('*') if p.suffix in suffixes or p.name in ('va', 'run')]
    skipped = {'.git', '.va', 'build', 'install', 'log', 'out', '.venv'}
    found = [str(p.relative_to(ROOT)) for p in files
             if p.is_file() and p != here and not skipped & set(p.relative_to(ROOT).parts)
             and wrong.search(p.read_text(errors='ignore'))]
    assert not found


def test_this_python_is_supported():
    assert (3, 10) <= sys.version_info[:2] <= (3, 13)
