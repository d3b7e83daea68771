# SPDX-License-Identifier: Apache-2.0
"""``./va bench scale``: one, two and four assistants on one host, each in its own namespace.

They share one Ollama server where one answers at ``--ollama``; its memory is counted once. Else
each has llama.cpp inside it, and the kernel shares the weights. They listen, nobody speaks.
Where the machine cannot carry so many, the figure of that number says why.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
import time
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from command_line import add_place, carry_out, EndedEarly, INTERRUPTED, make_parser, Measured
from waiting import wait_serving, watch

COUNTS = (1, 2, 4)
READY_S = 240.0
HEALTH_S = 5.0
SETTLE_S, WATCH_S = 15.0, 60.0
"""After the last of them is ready; then the measured time."""
_PORTS_EACH = 10

Costs = dict[int, dict[str, Any]]


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when one did not start."""
    parser = make_parser('scale', __doc__)
    parser.add_argument('--ollama', metavar='URL', default='http://127.0.0.1:11434')
    parser.add_argument('--model', default='smollm2:135m',
                        help="the server's model (%(default)s)")
    add_place(parser)
    options = parser.parse_args(argv)
    return carry_out('scale', argv, options.out, lambda: _measure(options))


def has_model(url: str, model: str) -> bool:
    """Whether an Ollama server answers there and has the model."""
    try:
        with urlopen(f'{url}/api/tags', timeout=2.0) as answer:
            return f'"{model}"'.encode() in answer.read()
    except (URLError, OSError, ValueError):
        return False


def figures_of(cost: Costs) -> dict[str, Any]:
    """What all cost together, what each further one costs, and the second over the first.

    Args:
        cost: of so many; ``{'not_measured': why}`` where the machine did not carry them.
    """
    first = cost[1]['pss_mb']
    each = {str(count): round((values['pss_mb'] - first) / (count - 1), 1)
            for count, values in cost.items() if count > 1 and 'pss_mb' in values}
    return {'assistants': {str(count): values for count, values in cost.items()},
            'each_further_mb': each,
            'second_memory': round(each['2'] / first, 3) if '2' in each else None}


def _measure(options: argparse.Namespace) -> Measured:
    server = has_model(options.ollama, options.model)
    llm = f'one Ollama, {options.model}' if server else 'llama.cpp in each, weights shared'
    print(f'scale: {llm}', flush=True)
    cost, early = _costs(options, server)
    early.require(cost)
    if early.reason != INTERRUPTED:
        cost |= {count: {'not_measured': early.reason} for count in COUNTS if count not in cost}
    carried = max(count for count, values in cost.items() if 'pss_mb' in values)
    # A machine that is too small for the most of them is a result, not a failure.
    failed = early.reason == INTERRUPTED or carried < 2
    return Measured({'scale': ('scale', figures_of(cost))},
                    {'n': f'{WATCH_S:g} s of each', 'llm': llm}, early.reason if failed else '')


def _costs(options: argparse.Namespace, server: bool) -> tuple[Costs, EndedEarly]:
    from virtual_room.room import VirtualRoom
    from virtual_room.room_process import RoomSettings
    from voice.systems import Assistant

    from va_common.ports import PORTS

    cost: Costs = {}
    running: dict[int, Assistant] = {}
    """By port offset."""
    with ExitStack() as stack, EndedEarly() as early:
        room = stack.enter_context(VirtualRoom(RoomSettings(out=str(options.out / 'scale'))))
        for count in COUNTS:
            while len(running) < count:
                assistant, offset = _assistant(len(running), options, server)
                stack.callback(assistant.stop)
                assistant.start(room.environment())
                # One after the other: four that start at once only slow each other.
                wait_serving(f'assistant {len(running) + 1}', PORTS['kwd'] + offset,
                             assistant.product.process, READY_S)
                running[offset] = assistant
            cost[count] = _cost(running, _server_processes(options.ollama) if server else [])
            print(f'  {count}: {cost[count]}', flush=True)
    return cost, early


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


def _cost(running: dict[int, Any], server: list[Any]) -> dict[str, float]:
    """Memory of all of them and the server, and their CPU while nobody speaks."""
    from soak import pss_mb

    *_, last = (assistant.product.process for assistant in running.values())
    watch('the last assistant', last, SETTLE_S)
    require_serving(list(running))
    processes = [p for assistant in running.values() for p in assistant.product.processes()]
    processes += server
    before, began = _cpu_s(processes), time.monotonic()
    watch('the last assistant', last, WATCH_S)
    used = (_cpu_s(processes) - before) / (time.monotonic() - began)
    require_serving(list(running))
    return {'pss_mb': round(pss_mb(processes), 1), 'cpu_core_percent': round(100 * used, 1)}


def require_serving(offsets: list[int]) -> None:
    """Raises NotComing when a node of one of them does not serve: it is being restarted."""
    from voice.ears import NotComing

    from va_common.health import ask, HealthState
    from va_common.ports import PORTS

    for number, offset in enumerate(offsets, 1):
        for node, port in PORTS.items():
            if (health := ask(port + offset, HEALTH_S)).state is not HealthState.SERVING:
                raise NotComing(f'assistant {number} of {len(offsets)} did not stay up: {node} is '
                                f'{health.state.value} {health.problem}'.rstrip())


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
