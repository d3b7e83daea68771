# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: ports, ROS domain, configuration, the user's lines."""
import os
from pathlib import Path
import socket

from virtual_room.product import write_config
from virtual_room.script import NEAR_MISS, WAKE

from va_common.ports import PORTS


def _free_place() -> int:
    """A number from 0 to 9 whose health ports nobody uses: two clones may be tested at once."""
    for place in range(10):
        if all(_is_free(port + FIRST_OFFSET + 200 * place + extra)
               for port in PORTS.values() for extra in (0, 100)):
            return place
    return 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


# ROS domains and ports of our own: an assistant of this machine's user is left alone.
FIRST_DOMAIN, FIRST_OFFSET = 46, 600
_PLACE = _free_place()
PORT_OFFSET = FIRST_OFFSET + 200 * _PLACE
os.environ['ROS_DOMAIN_ID'] = str(FIRST_DOMAIN + 2 * _PLACE)
OTHER_DOMAIN = str(FIRST_DOMAIN + 2 * _PLACE + 1)
READY_S = 120.0
STORY = 'Hey Jarvis, please tell me a long story about a dragon.'
INTERRUPTION = 'Wait, what is the capital of France?'
STOP = 'Please stop.'
PAUSED = ('What is the capital', 'of France and of Spain?', 'What is the capital of Italy?')
LINES = (WAKE, NEAR_MISS, 'Hey Jarvis, what is the capital of Spain?',
         'The robot is in the kitchen.', 'How many legs does a spider have?',
         STORY, INTERRUPTION, STOP, *PAUSED)


def make_config(folder: Path, **changes: str) -> Path:
    """A configuration for tests; keys as ``loader__follow_up_ms``.

    Time limits of the start are wide: what is fast enough is measured by the benchmarks.
    """
    own = {'loader.parallel_phase_timeout_ms': '60000', 'loader.phase_timeout_ms': '60000',
           'system.port_offset': str(PORT_OFFSET), 'logger.log_dir': str(folder / 'log')}
    return write_config(folder / 'assistant.ini',
                        own | {k.replace('__', '.'): v for k, v in changes.items()})
