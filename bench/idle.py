# SPDX-License-Identifier: Apache-2.0
"""``./va bench idle``: what the assistant costs while nobody speaks, by process.

Beside an NVIDIA GPU each process tells its video memory, too (`vram_mb`). CPU is the time of its
processes on a core, so that a busy machine measures it, too (a little too
high: its caches are cold). The room has noise as a quiet one has, 30 dB below a user.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
import re
import time
from typing import Any

from command_line import add_place, carry_out, make_parser, Measured
from waiting import watch

SETTLE_S = 15.0
"""After the greeting, before the measured time."""
_PROGRAM = re.compile(r'va_(\w+)\.(\w+)|(forker)')


@dataclass(frozen=True)
class Cost:
    """What one process has used."""

    cpu_s: float
    pss_mb: float
    own_mb: float
    """Without what is mapped from files: programs that come and go share that."""
    vram_mb: int | None = None
    """Video memory in MiB; None: there is no GPU. Ollama's is in its own process, not here."""


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when it did not start."""
    parser = make_parser('idle', __doc__)
    parser.add_argument('--seconds', type=float, default=300.0, metavar='N',
                        help='how long to watch (%(default)s)')
    add_place(parser)
    options = parser.parse_args(argv)
    if not 1.0 <= options.seconds <= 86400.0:
        parser.error(f'--seconds {options.seconds:g}: expected 1 to 86400')
    return carry_out('idle', argv, options.out, lambda: _measure(options))


def figures_of(before: dict[str, Cost], after: dict[str, Cost], span_s: float) -> dict[str, Any]:
    """Together and by process; growth is that of own memory in ``span_s`` seconds."""
    each = {name: {'cpu_core_percent': round(100 * (used.cpu_s - before[name].cpu_s) / span_s, 2),
                   'pss_mb': round(used.pss_mb, 1),
                   'growth_mb': round(used.own_mb - before[name].own_mb, 1)}
            | ({} if used.vram_mb is None else {'vram_mb': used.vram_mb})
            for name, used in after.items() if name in before}

    def together(key: str) -> float:
        return round(sum(values[key] for values in each.values()), 1)

    keys = ('cpu_core_percent', 'pss_mb', 'growth_mb', 'vram_mb')
    return {key: together(key) for key in keys
            if all(key in values for values in each.values())} | {'by_process': each}


def name_of(command: Iterable[str]) -> str:
    """What a process of the assistant is called, by its command line."""
    found = _PROGRAM.search(' '.join(command))
    if found is None:
        return 'other'
    package, module, forker = found.groups()
    return forker or (module if package == 'loader' else package)


def _measure(options: argparse.Namespace) -> Measured:
    from virtual_room.room import VirtualRoom
    from virtual_room.room_process import RoomSettings
    from voice.ears import Ears
    from voice.systems import Assistant

    folder = options.out / 'idle'
    folder.mkdir(parents=True, exist_ok=True)
    assistant = Assistant(folder, {'system.port_offset': str(options.port_offset)},
                          options.ros_domain)
    with VirtualRoom(RoomSettings(out=str(folder))) as room:
        ears = Ears(room.speaker_wav, assistant.problem)
        since_s = ears.now_s
        try:
            assistant.start(room.environment())
            assistant.wait_ready(ears, since_s)
            before, after = _watched(assistant, options.seconds)
        finally:
            assistant.stop()
    return Measured({'idle': ('idle', figures_of(before, after, options.seconds))},
                    {'n': f'{options.seconds:g} s'})


def _watched(assistant: Any, seconds: float) -> tuple[dict[str, Cost], dict[str, Cost]]:
    process = assistant.product.process
    watch('the assistant', process, SETTLE_S)
    before, began_s = _costs(assistant), time.monotonic()
    watch('the assistant', process, max(0.0, seconds - (time.monotonic() - began_s)))
    return before, _costs(assistant)


def _costs(assistant: Any) -> dict[str, Cost]:
    import psutil
    from soak import pss_mb
    costs: dict[str, Cost] = {}
    vram = vram_by_pid()
    for process in assistant.product.processes():
        try:
            name, times = name_of(process.cmdline()), process.cpu_times()
            memory = process.memory_info()
        except psutil.NoSuchProcess:
            continue
        known = costs.get(name, Cost(0.0, 0.0, 0.0))
        costs[name] = Cost(known.cpu_s + times.user + times.system,
                           known.pss_mb + pss_mb([process]),
                           known.own_mb + (memory.rss - memory.shared) / 1e6,
                           None if vram is None
                           else (known.vram_mb or 0) + vram.get(process.pid, 0))
    return costs


def vram_by_pid() -> dict[int, int] | None:
    """Video memory in MiB of the processes that use the first GPU; None: there is none."""
    from va_common.errors import AssistantError
    from va_common.gpu_monitor import GpuMonitor
    try:
        monitor = GpuMonitor()
    except (AssistantError, ImportError):
        return None
    try:
        return monitor.used_mb_by_pid()
    finally:
        monitor.close()
