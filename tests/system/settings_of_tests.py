# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: ports, ROS domain, configuration, the user's lines."""
import os
from pathlib import Path

from virtual_room.product import write_config
from virtual_room.script import NEAR_MISS, WAKE

# A domain and ports of our own: an assistant of this machine's user is left alone.
os.environ['ROS_DOMAIN_ID'] = os.environ.get('VA_TEST_DOMAIN_ID', '46')
OTHER_DOMAIN = str(int(os.environ['ROS_DOMAIN_ID']) + 1)
PORT_OFFSET = int(os.environ.get('VA_TEST_PORT_OFFSET', '600'))
READY_S = 120.0
LINES = (WAKE, NEAR_MISS, 'Hey Jarvis, what is the capital of Spain?',
         'The robot is in the kitchen.', 'How many legs does a spider have?')


def make_config(folder: Path, **changes: str) -> Path:
    """A configuration for tests; keys as ``loader__follow_up_ms``.

    Time limits of the start are wide: what is fast enough is measured by the benchmarks.
    """
    own = {'loader.parallel_phase_timeout_ms': '60000', 'loader.phase_timeout_ms': '60000',
           'system.port_offset': str(PORT_OFFSET), 'logger.log_dir': str(folder / 'log')}
    return write_config(folder / 'assistant.ini',
                        own | {k.replace('__', '.'): v for k, v in changes.items()})
