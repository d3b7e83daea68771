# SPDX-License-Identifier: Apache-2.0
"""Plain logic knows no ROS."""

from pathlib import Path
import subprocess
import sys

import va_loader

ADAPTERS = {'node', 'dialog_port', 'dialog_handover', 'lifecycle_client', 'admin_api',
            'state_publisher', 'messages', 'cli_client'}


def test_no_plain_module_loads_rclpy():
    modules = sorted(path.stem for path in Path(va_loader.__file__).parent.glob('*.py'))
    plain = [name for name in modules if name not in ADAPTERS and name != '__init__']
    code = ';'.join([*(f'import va_loader.{name}' for name in plain), 'import sys',
                     'sys.exit("rclpy" in sys.modules)'])
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0
