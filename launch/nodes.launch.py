# SPDX-License-Identifier: Apache-2.0
"""Starts the nodes without the loader, for people with a supervisor of their own.

Each node configures and activates itself unless ``autostart:=false``. Without the loader nobody
leads dialogs: the topics, services and actions of the nodes are there to build on.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchDescription

NODES = ('logger', 'tts', 'llm', 'stt', 'kwd')

ARGUMENTS = {
    'namespace': ('', 'ROS namespace'),
    'profile': ('auto', 'auto, cpu or cuda'),
    'log_level': ('info', 'debug, info, warning or error'),
    'params_file': ('', 'ROS parameter file for all nodes'),
    'autostart': ('true', 'whether the nodes configure and activate themselves'),
}


def start_nodes(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    settings = {
        'system.profile': given['profile'], 'system.log_level': given['log_level'],
        'autostart': given['autostart'].lower() in ('true', '1', 'yes'),
    }
    files = [given['params_file']] if given['params_file'] else []
    return [LifecycleNode(
        package=f'va_{name}', executable=name, name=name, namespace=given['namespace'],
        parameters=[settings, *files], output='screen', sigterm_timeout='5',
    ) for name in NODES]


def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, (default, text) in ARGUMENTS.items()),
        OpaqueFunction(function=start_nodes),
    ])
