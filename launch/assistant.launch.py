# SPDX-License-Identifier: Apache-2.0
"""Starts the whole assistant: ``ros2 launch va_loader assistant.launch.py``."""

import os
from pathlib import Path

from ament_index_python.packages import get_package_prefix
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

# An orderly stop takes up to 3 s; main has deadlines of its own beyond that.
STOP_TIMEOUT_S = '10'

ARGUMENTS = {
    'config': 'configuration file; default: the assistant.ini of the package',
    'profile': 'auto, cpu or cuda; default: as the configuration says',
    'namespace': 'ROS namespace, for several assistants on one host',
    'log_level': 'debug, info, warning or error; default: as the configuration says',
    'params_file': 'ROS parameter file, laid over the configuration',
}


def generate_launch_description():
    main = Path(get_package_prefix('va_loader')) / 'lib' / 'va_loader' / 'main'
    # One word each, so that what was not given stays empty instead of shifting the others.
    options = [[f'--{name.replace("_", "-")}=', LaunchConfiguration(name)] for name in ARGUMENTS]
    assistant = ExecuteProcess(
        cmd=[str(main), *options], name='main', output='screen', emulate_tty=False,
        # Should ros2 launch be killed, the assistant stops in order instead of being orphaned.
        additional_env={'VA_PARENT_PID': str(os.getpid())},
        sigterm_timeout=STOP_TIMEOUT_S, sigkill_timeout=STOP_TIMEOUT_S)
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in ARGUMENTS.items()),
        assistant,
        RegisterEventHandler(OnProcessExit(
            target_action=assistant,
            on_exit=[EmitEvent(event=Shutdown(reason='the assistant has ended'))])),
    ])
