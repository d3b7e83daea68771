# SPDX-License-Identifier: Apache-2.0
"""Keeps DDS on this host: the environment that Fast DDS reads when a participant is made."""

from __future__ import annotations

from collections.abc import MutableMapping
import os
from pathlib import Path

from va_common.config_files import config_file


def apply(dds: str = 'local', environ: MutableMapping[str, str] = os.environ) -> None:
    """Restrict DDS to loopback and shared memory, unless ``dds`` is ``open``.

    ``ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`` is not enough: Fast DDS 3.2 still binds 0.0.0.0.
    The profile file does it; SYSTEM_DEFAULT keeps rmw from overriding that file. A profile that
    the person set in the environment wins.
    """
    if dds == 'open':
        return
    environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(config_file('dds_local.xml')))
    if Path(environ['FASTDDS_DEFAULT_PROFILES_FILE']).name == 'dds_local.xml':
        environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SYSTEM_DEFAULT'
