# SPDX-License-Identifier: Apache-2.0
"""What must not start, or must wait: ports, models, configuration, a second instance."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import socket
import time

import psutil

from faults.evidence import Evidence, Trouble
from faults.process_cases import hears_or_ended
from faults.reasons import look_for_reasons
from faults.situations import call, end_dialog, reach
from faults.world import Assistant, World
from va_common.model_catalogue import models_dir

REFUSED_S = 60.0
PLAIN: dict[str, str] = {}


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens on a port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(('127.0.0.1', port))
        other.listen()
        yield


def refused(world: World, evidence: Evidence, exit_code: int, named: Sequence[str],
            assistant: Assistant | None = None) -> None:
    """The assistant that was just started must end by itself with a clear message."""
    assistant = assistant or world.require()
    evidence.strike()
    ended = world.watch.until(lambda: not assistant.running, REFUSED_S)
    if not ended:
        assistant.kill()
        raise Trouble(f'it did not end within {REFUSED_S:.0f} s')
    output = assistant.output()
    evidence.saw(f'ended with {assistant.product.exit_code} after '
                 f'{time.time() - assistant.product.started_s:.1f} s')
    evidence.require(assistant.product.exit_code == exit_code,
                     f'exit code {assistant.product.exit_code}, expected {exit_code}')
    for word in named:
        evidence.require(word in output, f'its message does not name {word}')
    evidence.require('Traceback' not in output, 'a traceback in its output')
    lines = [line for line in output.splitlines() if named[0] in line]
    evidence.told['output'] = lines[-1][:300] if lines else ''
    evidence.left_over += assistant.left()


def port_taken_at_start(world: World, evidence: Evidence) -> None:
    with taken(world.port('stt')):
        world.start()
        refused(world, evidence, 3, (str(world.port('stt')), 'taken'))


def port_taken_at_restart(world: World, evidence: Evidence) -> None:
    """The port of a killed node is snatched away for some seconds: it is retried."""
    reach(world, 'idle')
    mark = world.watch.mark()
    process = psutil.Process(world.pids()['kwd'])
    process.kill()
    try:
        process.wait(5.0)
    except psutil.TimeoutExpired as error:
        raise Trouble('kwd does not die') from error
    with _snatched(world, world.port('kwd')):
        world.watch.rest(3.0)
    evidence.strike()
    if not world.watch.until(lambda: hears_or_ended(world), REFUSED_S):
        raise Trouble('it did not hear again after the port was free')
    evidence.recovered_s = time.time()
    call(world)
    look_for_reasons(world, evidence, mark, 'kwd', ('SIGKILL', 'taken'))
    evidence.require('taken' in world.require().output(), 'no message names the taken port')
    end_dialog(world)


@contextmanager
def _snatched(world: World, port: int) -> Iterator[None]:
    """As `taken`, as soon as the port is let go of."""
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def bind() -> bool:
        try:
            other.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True

    with other:
        if not world.watch.until(bind, 5.0, 0.01):
            raise Trouble(f'port {port} was not let go of')
        other.listen()
        yield


def model_broken(how: str) -> Callable[[World, Evidence], None]:
    """A case: a model is missing, truncated, or has the right size and no sense."""

    def play(world: World, evidence: Evidence) -> None:
        folder = Path(world.folder) / f'models_{how}'
        victim = _linked_models(folder) / 'SmolLM2-135M-Instruct.Q4_1.gguf'
        original = victim.resolve()
        victim.unlink()
        if how == 'truncated':
            victim.write_bytes(original.read_bytes()[:100_000])
        elif how == 'nonsense':
            with victim.open('wb') as file:
                file.truncate(original.stat().st_size)
        world.start({'loader.restart_backoff_ms': '200,500'}, {'VA_MODELS_DIR': str(folder)})
        refused(world, evidence, 1, ('SmolLM2' if how != 'nonsense' else 'llm',
                                     './va models' if how != 'nonsense' else 'FATAL'))
        shutil.rmtree(folder)

    return play


def _linked_models(folder: Path) -> Path:
    """A copy of the models folder in links; returns the folder of the language model."""
    root = models_dir('')
    for source in root.iterdir():
        if source.is_dir():
            target = folder / source.name
            target.mkdir(parents=True)
            for path in source.iterdir():
                os.symlink(path.resolve(), target / path.name)
    return folder / 'smollm2-135m-instruct'


def model_lost_while_running(world: World, evidence: Evidence) -> None:
    """The voice's model vanishes, tts dies, the model comes back before the budget is spent."""
    folder = Path(world.folder) / 'models_lost'
    _linked_models(folder)
    world.start({}, {'VA_MODELS_DIR': str(folder)})
    world.wait_ready()
    victim = next((folder / 'kokoro-onnx').glob('*.onnx'))
    original = victim.resolve()
    victim.unlink()
    mark = world.watch.mark()
    process = psutil.Process(world.pids()['tts'])
    process.kill()

    def was_missed() -> bool:
        return './va models' in world.require().output() or not world.require().running

    if not world.watch.until(was_missed, REFUSED_S):
        raise Trouble('nobody missed the model')
    victim.symlink_to(original)
    evidence.strike()
    if not world.watch.until(lambda: hears_or_ended(world), REFUSED_S):
        raise Trouble('it did not hear again after the model was back')
    evidence.recovered_s = time.time()
    call(world)
    look_for_reasons(world, evidence, mark, 'tts', ('SIGKILL', 'va models'))
    end_dialog(world)


def wrong_configuration(changes: dict[str, str], named: Sequence[str]
                        ) -> Callable[[World, Evidence], None]:
    """A case: nothing starts, every mistake is named."""

    def play(world: World, evidence: Evidence) -> None:
        world.start(changes)
        refused(world, evidence, 2, (*named, 'assistant.ini'))
        evidence.require(not (world.require().folder / 'log').exists(), 'it made a log folder')

    return play


def second_instance(world: World, evidence: Evidence) -> None:
    """Another one with the same ports and namespace is refused; the first one does not notice."""
    reach(world, 'idle')
    before = world.pids()
    second = Assistant(world, {}, {})
    second.product.start()
    try:
        refused(world, evidence, 3, ('an assistant runs already', 'port_offset'), second)
    finally:
        second.kill()
    evidence.require(world.pids() == before, 'processes of the first one were replaced')
    evidence.recovered_s = evidence.fault_s
    call(world)
    end_dialog(world)
