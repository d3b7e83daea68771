# SPDX-License-Identifier: Apache-2.0
"""``./va bench scale``: one, two and four assistants on one host, each in its own namespace.

They share one Ollama server where one answers at ``--ollama``; its memory is counted once. Else
each has llama.cpp inside it, and the kernel shares the weights. They listen, nobody speaks.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
import sys
import time
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from command_line import add_place, make_parser
from scorecard import conditions, update

COUNTS = (1, 2, 4)
READY_S, SETTLE_S, WATCH_S = 240.0, 15.0, 20.0
_POLL_S = 0.2
_PORTS_EACH = 10


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when one did not start."""
    parser = make_parser('scale', __doc__)
    parser.add_argument('--ollama', metavar='URL', default='http://127.0.0.1:11434')
    parser.add_argument('--model', default='smollm2:135m',
                        help="the server's model (%(default)s)")
    add_place(parser)
    options = parser.parse_args(argv)
    from virtual_room.pulse import RoomError
    from voice.ears import NotComing

    from va_common.profile import resolve

    server = has_model(options.ollama, options.model)
    llm = f'one Ollama, {options.model}' if server else 'llama.cpp in each, weights shared'
    how = conditions(resolve('auto')) | {'llm': llm}
    print(f'scale: {llm}', flush=True)
    try:
        cost = _measure(options, server)
    except (NotComing, RoomError) as problem:
        print(f'scale: {problem}', file=sys.stderr)
        return 1
    figures = figures_of(cost)
    update(options.out / 'scorecard.json', 'scale', 'scale', figures, how)
    for name, value in figures.items():
        print(f'  {name}: {value}')
    return 0


def has_model(url: str, model: str) -> bool:
    """Whether an Ollama server answers there and has the model."""
    try:
        with urlopen(f'{url}/api/tags', timeout=2.0) as answer:
            return f'"{model}"'.encode() in answer.read()
    except (URLError, OSError, ValueError):
        return False


def figures_of(cost: dict[int, dict[str, float]]) -> dict[str, Any]:
    """What all cost together, what each further one costs, and the second over the first."""
    first = cost[1]['pss_mb']
    each = {count: round((values['pss_mb'] - first) / (count - 1), 1)
            for count, values in cost.items() if count > 1}
    return {'assistants': {str(count): values for count, values in cost.items()},
            'each_further_mb': {str(count): value for count, value in each.items()},
            'second_memory': round((cost[2]['pss_mb'] - first) / first, 3)}


def _measure(options: argparse.Namespace, server: bool) -> dict[int, dict[str, float]]:
    from virtual_room.room import VirtualRoom
    from virtual_room.room_process import RoomSettings
    from voice.systems import Assistant

    cost: dict[int, dict[str, float]] = {}
    running: list[Assistant] = []
    with ExitStack() as stack:
        room = stack.enter_context(VirtualRoom(RoomSettings(out=str(options.out / 'scale'))))
        for count in COUNTS:
            while len(running) < count:
                assistant, offset = _assistant(len(running), options, server)
                stack.callback(assistant.stop)
                assistant.start(room.environment())
                _wait_serving(assistant, offset)  # four that start at once only slow each other
                running.append(assistant)
            time.sleep(SETTLE_S)
            cost[count] = _cost(running, _server_processes(options.ollama) if server else [])
            print(f'  {count}: {cost[count]}', flush=True)
    return cost


def _assistant(number: int, options: argparse.Namespace, server: bool) -> tuple[Any, int]:
    from voice.systems import Assistant

    folder = options.out / 'scale' / f'robot{number + 1}'
    folder.mkdir(parents=True, exist_ok=True)
    offset = options.port_offset + number * _PORTS_EACH
    changes = {'system.port_offset': str(offset)}
    if server:
        changes |= {'llm.engine': 'ollama', 'llm.ollama_url': options.ollama,
                    'llm.model': options.model}
    return Assistant(folder, changes, options.ros_domain,
                     ('--namespace', f'robot{number + 1}')), offset


def _wait_serving(assistant: Any, offset: int) -> None:
    """Until the last node of the last phase serves. Raises NotComing."""
    from voice.ears import NotComing

    from va_common.health import check, HealthState
    from va_common.ports import PORTS

    deadline = time.monotonic() + READY_S
    while check(PORTS['kwd'] + offset, 1.0) is not HealthState.SERVING:
        if reason := assistant.problem():
            raise NotComing(reason)
        if time.monotonic() > deadline:
            raise NotComing(f'an assistant was not ready within {READY_S:.0f} s')
        time.sleep(_POLL_S)


def _cost(assistants: list[Any], server: list[Any]) -> dict[str, float]:
    """Memory of all of them and the server, and their CPU while nobody speaks."""
    from soak import pss_mb

    processes = [p for assistant in assistants for p in assistant.product.processes()] + server
    before, began = _cpu_s(processes), time.monotonic()
    time.sleep(WATCH_S)
    used = (_cpu_s(processes) - before) / (time.monotonic() - began)
    return {'pss_mb': round(pss_mb(processes), 1), 'cpu_core_percent': round(100 * used, 1)}


def _cpu_s(processes: list[Any]) -> float:
    import psutil

    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def _server_processes(url: str) -> list[Any]:
    """The program that listens there, with its children; none where it is another user's."""
    import psutil

    port = urlsplit(url).port
    for process in psutil.process_iter():
        try:
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port
                   for c in process.net_connections('tcp')):
                return [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    return []
