# SPDX-License-Identifier: Apache-2.0
"""Other programs take the cores: nothing healthy may be killed."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
import subprocess
import sys

from virtual_room.processes import die_with_parent

from faults.evidence import Evidence, Trouble
from faults.situations import call, end_dialog, reach
from faults.world import World

OVERLOAD = 4
SETTLE_S = 60.0


@contextmanager
def overload(factor: int = OVERLOAD) -> Iterator[int]:
    """Run ``factor`` busy processes for each core."""
    count = factor * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, '-S', '-c', 'while True: pass'],
                             preexec_fn=die_with_parent) for _ in range(count)]
    try:
        yield count
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait(5.0)


def starved(seconds: float) -> Callable[[World, Evidence], None]:
    """A case: ``seconds`` of four times as much work as there are cores."""

    def play(world: World, evidence: Evidence) -> None:
        reach(world, 'idle')
        before = world.pids()
        mark = world.watch.mark()
        chunks = world.watch.chunks
        with overload() as count:
            world.watch.rest(seconds)
        evidence.strike()
        evidence.saw(f'{count} busy processes for {seconds:.0f} s, '
                     f'{(world.watch.chunks - chunks) / (12.5 * seconds):.0%} of the sound came')
        if not world.watch.until(lambda: world.watch.hears(world.offset), SETTLE_S):
            raise Trouble(f'it does not hear afterwards: {world.watch.state()}')
        import time

        evidence.recovered_s = time.time()
        after = world.pids()
        killed = [name for name, pid in before.items() if after.get(name) != pid]
        evidence.require(not killed, f'healthy processes were killed: {", ".join(killed)}: '
                                     f'{"; ".join(world.watch.reasons(mark)[:3])}')
        call(world)
        end_dialog(world)

    return play
