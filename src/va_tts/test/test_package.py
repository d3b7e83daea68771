# SPDX-License-Identifier: Apache-2.0
import ast
from pathlib import Path
import subprocess
import sys

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
