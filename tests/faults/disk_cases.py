# SPDX-License-Identifier: Apache-2.0
"""The log folder on a small disk of its own: full and freed, read-only and writable again."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess
import time

from faults.evidence import Evidence, NotPossible, Trouble
from faults.process_cases import hears_or_ended
from faults.reasons import names
from faults.situations import call, end_dialog
from faults.start_cases import refused
from faults.world import World

SIZE, AWAY_S, RECOVER_S = '2m', 8.0, 60.0
WORDS = ('No space', 'disk', 'Read-only', 'DISK', 'full')


@contextmanager
def small_disk(world: World, name: str) -> Iterator[Path]:
    """A mounted tmpfs. Raises NotPossible where mounting is not permitted."""
    folder = Path(world.folder) / name
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SIZE},mode=0700', 'va_faults',
                           str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotPossible(f'mounting a small disk is not permitted: {done.stderr.strip()}')
    try:
        yield folder
    finally:
        world.put_away()
        subprocess.run(['umount', '--lazy', str(folder)], check=False, timeout=10)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder can be opened for writing or made; what is open stays open."""
    bind = ['mount', '--bind', str(folder), str(folder)]
    protect = ['mount', '-o', 'remount,bind,ro', str(folder)]
    for command in (bind, protect):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise NotPossible(f'{" ".join(command)} is not permitted: {done.stderr.strip()}')
    try:
        yield
    finally:
        subprocess.run(['umount', '--lazy', str(folder)], check=False, timeout=10)


def full_and_freed(world: World, evidence: Evidence) -> None:
    """Full for some seconds: it goes on hearing, says so, and nothing is lost."""
    with small_disk(world, 'full') as folder:
        _start(world, folder)
        filler = folder / 'filler'
        mark = world.watch.mark()
        filled_s = time.time()
        _fill(filler)
        _endure(world, evidence, mark, filled_s)
        filler.unlink()
        _recover(world, evidence, mark)
        _tell(world, evidence, mark)
        world.finish_records(evidence)


def read_only_and_back(world: World, evidence: Evidence) -> None:
    """The folder of the logs turns read-only: files that are open go on, new ones cannot be."""
    with small_disk(world, 'read_only') as folder:
        _start(world, folder)
        mark = world.watch.mark()
        since_s = time.time()
        with read_only(folder):
            _endure(world, evidence, mark, since_s)
        _recover(world, evidence, mark)
        _tell(world, evidence, mark)
        world.finish_records(evidence)


def read_only_at_start(world: World, evidence: Evidence) -> None:
    with small_disk(world, 'read_only_start') as folder:
        with read_only(folder):
            world.start({'logger.log_dir': str(folder / 'log')})
            refused(world, evidence, 1, ('log folder', 'expected a folder that can be written'))


def full_at_start(world: World, evidence: Evidence) -> None:
    with small_disk(world, 'full_start') as folder:
        _fill(folder / 'filler')
        world.start({'logger.log_dir': str(folder / 'log'),
                     'loader.restart_backoff_ms': '200,500'})
        refused(world, evidence, 1, ('log folder',))


def _start(world: World, folder: Path) -> None:
    world.start({'logger.log_dir': str(folder / 'log')})
    world.wait_ready()
    world.keep_records()


def _fill(filler: Path) -> None:
    """Take all of the room there is."""
    with open(filler, 'wb', buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue  # full, as wanted; perhaps a smaller piece fits still


def _endure(world: World, evidence: Evidence, mark: int, since_s: float) -> None:
    """While the disk is unusable: it must go on hearing, and says so once a record is due."""
    call(world)
    end_dialog(world)
    world.watch.rest(AWAY_S)
    if not world.require().running:
        raise Trouble(f'it has ended: {world.require().product.last_lines(2)}')
    noticed = [e.received_s for e in world.watch.since(mark, 'loader/state')
               if any(word in e.message.reason for word in WORDS)]
    evidence.fault_s = since_s
    evidence.noticed_s = min(noticed, default=None)
    evidence.saw(f'{AWAY_S:.0f} s later: {world.watch.state()}')
    evidence.told['status while it lasts'] = next(
        (line for line in world.status().splitlines() if names(line, 'logger', WORDS)), '')
    evidence.require(evidence.told['status while it lasts'],
                     'status does not tell what is wrong with the logger')


def _recover(world: World, evidence: Evidence, mark: int) -> None:
    evidence.strike()
    if not world.watch.until(lambda: hears_or_ended(world), RECOVER_S):
        raise Trouble(f'it did not recover within {RECOVER_S:.0f} s')
    if not world.require().running:
        raise Trouble(f'it has ended: {world.require().product.last_lines(2)}')
    evidence.recovered_s = time.time()
    call(world)
    end_dialog(world)


def _tell(world: World, evidence: Evidence, mark: int) -> None:
    from faults.reasons import look_for_reasons

    look_for_reasons(world, evidence, mark, 'logger', WORDS, ('state',))
    look_for_reasons(world, evidence, mark, 'log', WORDS, ('log',))
    evidence.require(os.path.exists(world.require().log_folder / 'app.log'), 'no application log')
