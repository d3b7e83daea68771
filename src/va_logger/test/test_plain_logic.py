# SPDX-License-Identifier: Apache-2.0
"""What knows no ROS stays that way."""

import subprocess
import sys

import pytest

PLAIN = ('append_file', 'app_log_index', 'app_log_writer', 'cli', 'dialog_files',
         'dialog_log_manager', 'dialog_record', 'disk_health', 'log_folder', 'log_follow',
         'log_time', 'log_view', 'sequence_ranges')


@pytest.mark.parametrize('forbidden', ['rclpy', 'va_interfaces', 'grpc'])
def test_plain_logic_imports_no_ros(forbidden):
    imports = '; '.join(f'import va_logger.{name}' for name in PLAIN)
    code = f'{imports}; import sys; sys.exit({forbidden!r} in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], timeout=30).returncode == 0


def test_the_sink_imports_no_rclpy():
    code = "import va_logger.rpc_sink, sys; sys.exit('rclpy' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code], timeout=30).returncode == 0
