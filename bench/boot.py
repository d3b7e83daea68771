# SPDX-License-Identifier: Apache-2.0
"""``./va bench boot``: from the start of ``main`` to the first sound of the greeting, recorded.

``phased``, ``sequential`` and each component alone with the models out of the page cache, as after
switching on; ``warm`` is phased once more with everything in memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from command_line import add_place, carry_out, EndedEarly, make_parser, Measured, whole
from waiting import wait_serving

WAYS = {'phased': 'phased_parallel', 'sequential': 'sequential', 'warm': 'phased_parallel'}
COMPONENTS = ('tts', 'llm', 'stt')
"""kwd, the quickest, serves only once stt's sound comes, so it cannot be alone."""
GREETING_S = 180.0
_PORT_OFFSET = 100
"""A component alone is on other ports than the assistant."""


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when something did not start."""
    parser = make_parser('boot', __doc__)
    parser.add_argument('--boots', type=whole(1, 100), default=7, metavar='N',
                        help='of each way, taking turns (%(default)s)')
    add_place(parser)
    options = parser.parse_args(argv)
    return carry_out('boot', argv, options.out, lambda: _measure(options))


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """p50, p95 and n of each way in ms; the slowest component is that of the highest p50.

    Args:
        times: milliseconds by way and by component.
    """
    from voice.figures import spread

    figures: dict[str, Any] = {way: spread(times[way]) for way in WAYS}
    alone = {name: spread(times[name]) for name in COMPONENTS}
    slowest = max(alone, key=lambda name: alone[name]['p50'] or 0)
    return figures | {'slowest_component': alone[slowest] | {'name': slowest},
                      'components_detail': alone}


def _measure(options: argparse.Namespace) -> Measured:
    from virtual_room.room import VirtualRoom
    from virtual_room.room_process import RoomSettings

    folder = options.out / 'boot'
    folder.mkdir(parents=True, exist_ok=True)
    times: dict[str, list[float]] = {name: [] for name in (*WAYS, *COMPONENTS)}
    with VirtualRoom(RoomSettings(out=str(folder))) as room:
        _boot(room, folder, 'warm', options)  # what a first start prepares is there
        with EndedEarly() as early:
            for number in range(options.boots):
                for name in times:
                    times[name].append(_time(name, room, folder, options))
                print(f'  {number + 1} of {options.boots}: '
                      f'{ {name: round(ms[-1]) for name, ms in times.items()} }', flush=True)
    early.require(times['phased'])
    return Measured({'boot_ms': ('boot', summary(times))},
                    {'n': f'{len(times["phased"])} of each'}, early.reason)


def _time(name: str, room: Any, folder: Path, options: argparse.Namespace) -> float:
    if name != 'warm':
        forget_models()
    if name in WAYS:
        return _boot(room, folder, name, options)
    return _alone(name, room.environment(), options, folder)


def _boot(room: Any, folder: Path, way: str, options: argparse.Namespace) -> float:
    """One boot of the assistant, milliseconds to the first audible sample of the greeting."""
    from virtual_room.hearing import read_recording
    from voice.ears import Ears
    from voice.sound import onset, RATE
    from voice.systems import Assistant

    assistant = Assistant(folder, {'loader.startup_mode': WAYS[way],
                                   'system.port_offset': str(options.port_offset)},
                          options.ros_domain)
    ears = Ears(room.speaker_wav, assistant.problem)
    since_s = ears.now_s
    try:
        assistant.start(room.environment())
        assistant.wait_ready(ears, since_s)
    finally:
        assistant.stop()
    assert assistant.product is not None
    speaker = read_recording(room.speaker_wav)
    started_s = assistant.product.started_s - room.t0_s
    heard = onset(speaker, round(started_s * RATE), speaker.size)
    assert heard is not None
    return (heard / RATE - started_s) * 1e3


def _alone(name: str, devices: dict[str, str], options: argparse.Namespace, folder: Path
           ) -> float:
    """One component by itself, milliseconds from its start to SERVING."""
    from va_common.ports import PORTS

    offset = options.port_offset + _PORT_OFFSET
    with _component(name, offset, devices, options, folder) as (started_s, process):
        wait_serving(f'{name} alone', PORTS[name] + offset, process, GREETING_S)
        return (time.monotonic() - started_s) * 1e3


@contextmanager
def _component(name: str, offset: int, devices: dict[str, str], options: argparse.Namespace,
               folder: Path) -> Iterator[tuple[float, subprocess.Popen[bytes]]]:
    from virtual_room.processes import terminate_with_parent

    environment = os.environ | devices | {'ROS_DOMAIN_ID': str(options.ros_domain)}
    with (folder / f'{name}.log').open('ab') as output:
        started_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, '-m', f'va_{name}.main', '--ros-args', '-p', 'autostart:=true',
             '-p', f'system.port_offset:={offset}'],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=terminate_with_parent)
    try:
        yield started_s, process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5.0)


def forget_models() -> None:
    """Put the models out of the page cache, as far as no other program has them mapped."""
    from va_common.cache_folder import cache_folder
    from va_common.model_catalogue import models_dir

    for folder in (models_dir(''), cache_folder('', 'tts'), cache_folder('', 'llm')):
        for path in folder.rglob('*'):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)
