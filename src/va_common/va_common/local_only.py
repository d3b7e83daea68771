# SPDX-License-Identifier: Apache-2.0
"""Keeps DDS on this host: the environment that Fast DDS reads when a participant is made."""

from __future__ import annotations

from collections.abc import MutableMapping
import os
from pathlib import Path

from va_common.config_files import config_file

_PROFILES = 'FASTDDS_DEFAULT_PROFILES_FILE'
_RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
_OURS = 'dds_local.xml'


def apply(dds: str = 'local', environ: MutableMapping[str, str] = os.environ) -> None:
    """Restrict DDS to loopback; with ``dds`` ``open`` to UDP, on every interface.

    ``ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`` is not enough: Fast DDS 3.2 still binds 0.0.0.0.
    The profile file does it; SYSTEM_DEFAULT keeps rmw from overriding that file. A profile that
    the person set in the environment wins. Neither way uses shared memory: see that file.
    """
    profiles = environ.setdefault(_PROFILES, str(config_file(_OURS)))
    if Path(profiles).name != _OURS:
        return
    if dds == 'open':
        # Also where the set-up's env.sh has set them.
        del environ[_PROFILES]
        environ.pop(_RANGE, None)
        environ.setdefault('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    else:
        environ[_RANGE] = 'SYSTEM_DEFAULT'
