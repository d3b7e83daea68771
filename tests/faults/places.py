# SPDX-License-Identifier: Apache-2.0
"""Ports, ROS domain and configuration of the assistants that are broken."""
from __future__ import annotations

import os
from pathlib import Path
import socket

from virtual_room.product import write_config

from va_common.ports import PORTS

FIRST_DOMAIN, FIRST_OFFSET, STEP = 62, 3000, 200
HERE = Path(__file__).resolve().parent
NODES = ('logger', 'tts', 'llm', 'stt', 'kwd')
"""The managed nodes, in start-up order."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) != 0


def find_place(offset: int | None = None, domain: int | None = None) -> int:
    """Choose a port offset whose ports nobody uses, and a ROS domain; returns the offset.

    The domain goes into the environment: an assistant of this machine's user is left alone.
    """
    place = next((place for place in range(10) if all(
        is_free(port + FIRST_OFFSET + STEP * place) for port in PORTS.values())), 0)
    os.environ['ROS_DOMAIN_ID'] = str(FIRST_DOMAIN + place if domain is None else domain)
    return FIRST_OFFSET + STEP * place if offset is None else offset


def make_config(folder: Path, offset: int, changes: dict[str, str]) -> Path:
    """A configuration for one assistant; keys as ``section.key``.

    Pauses that only a patient user needs are shorter, answers are longer, and the time limits of
    the start are wide: what is fast enough is measured, not assumed.
    """
    own = {
        'system.port_offset': str(offset), 'logger.log_dir': str(folder / 'log'),
        'loader.parallel_phase_timeout_ms': '60000', 'loader.phase_timeout_ms': '60000',
        'stt.silence_ms': '800', 'stt.no_speech_timeout_ms': '6000',
        'loader.follow_up_ms': '3000', 'llm.modelfile': str(HERE / 'Modelfile'),
    }
    return write_config(folder / 'assistant.ini', own | changes)
