# SPDX-License-Identifier: Apache-2.0
import ast
from pathlib import Path
import subprocess
import sys
from xml.etree import ElementTree

import va_tts

PACKAGE = Path(va_tts.__file__).parent
ADAPTERS = {'node', 'main', 'speak_api', 'playback_messages'}
PLAIN = sorted(path.stem for path in PACKAGE.glob('*.py') if path.stem not in ADAPTERS)
ENGINES = {'kokoro_onnx_engine', 'kokoro_torch_engine'}


def test_plain_logic_imports_neither_ros_nor_an_engine() -> None:
    modules = [f'va_tts.{name}' for name in PLAIN if name not in ENGINES and name != '__init__']
    heavy = ('rclpy', 'va_interfaces', 'onnxruntime', 'kokoro_onnx', 'torch', 'sounddevice')
    program = (f'import sys, {", ".join(modules)}\n'
               f'print([name for name in {heavy!r} if name in sys.modules])')
    answer = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert answer.stdout.strip() == '[]', answer.stderr


def test_engines_import_no_ros() -> None:
    for name in ENGINES:
        tree = ast.parse((PACKAGE / f'{name}.py').read_text())
        imported = {node.module or '' for node in ast.walk(tree)
                    if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith(('rclpy', 'va_interfaces')) for module in imported)


def test_versions_agree() -> None:
    root = ElementTree.parse(PACKAGE.parent / 'package.xml').getroot()
    version = root.findtext('version')
    assert version == va_tts.__version__
    assert f"version='{version}'" in (PACKAGE.parent / 'setup.py').read_text()
    assert f'\n{version} (' in (PACKAGE.parent / 'CHANGELOG.rst').read_text()


def test_imported_ros_packages_are_declared() -> None:
    root = ElementTree.parse(PACKAGE.parent / 'package.xml').getroot()
    declared = {element.text for element in root if element.tag.endswith('depend')}
    used = set()
    for path in PACKAGE.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split('.')[0])
    ros = {name for name in used
           if name.startswith('va_') or name in ('rclpy', 'rcl_interfaces', 'std_msgs')}
    assert ros - {'va_tts'} <= declared
