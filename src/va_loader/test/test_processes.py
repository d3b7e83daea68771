# SPDX-License-Identifier: Apache-2.0
"""Real processes: output, reasons, groups, orphans, locks, ports, last resort."""

import asyncio
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import pytest

from va_common.errors import AssistantError
from va_common.retry_backoff import RestartBudget
from va_common.testing import FakeClock, wait_for
from va_loader import procfs
from va_loader.exit_codes import EXIT_CRASHED
from va_loader.fatal_guard import FatalGuard, LastResortLog
from va_loader.instance import InstanceLock, require_free_ports, running_instance
from va_loader.proc_supervisor import end_reason, spawn
from va_loader.signal_handler import SignalHandler


def lives(pid):
    return procfs.sample(pid).state not in ('', 'Z')


class Child:
    """A child that runs some Python, in a loop of its own."""

    def __init__(self, code):
        self.lines = []
        self.child = spawn('child', [sys.executable, '-c', code],
                           lambda name, line: self.lines.append(line))

    async def says(self, word):
        async def heard():
            while not any(word in line for line in self.lines):
                await asyncio.sleep(0.01)
        await asyncio.wait_for(heard(), 10.0)


def test_lines_and_the_exit_code_are_reported():
    async def live():
        made = Child('import sys; print("one"); print("an error", file=sys.stderr); sys.exit(3)')
        reason = await asyncio.wait_for(made.child.exited(), 10.0)
        return made, reason
    made, reason = asyncio.run(live())
    assert reason == 'ended with exit code 3'
    assert made.lines == ['one', 'an error']
    assert made.child.last_error == 'an error'


@pytest.mark.parametrize(('code', 'text'), [
    (0, 'ended with exit code 0'), (-9, 'killed by SIGKILL'), (-200, 'killed by signal 200')])
def test_end_reasons(code, text):
    assert end_reason(code) == text


def test_an_endless_line_is_bounded():
    async def live():
        made = Child('print("x" * 1_000_000); print("end")')
        await made.says('end')
        await made.child.exited()
        return max(map(len, made.lines))
    assert asyncio.run(live()) <= 10_000


def test_a_child_that_ignores_every_request_is_killed_with_its_group():
    code = ('import signal, subprocess, sys, time\n'
            'for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\n'
            'grand = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
            'print("grandchild", grand.pid); time.sleep(60)')

    async def live():
        made = Child(code)
        await made.says('grandchild')
        made.child.interrupt()
        started = time.monotonic()
        await made.child.stop(0.2)
        return made, time.monotonic() - started
    made, seconds = asyncio.run(live())
    assert seconds < 2.0
    grandchild = int(next(line for line in made.lines if 'grandchild' in line).split()[-1])
    wait_for(lambda: not lives(grandchild), 5.0, 'the grandchild is gone')
    assert not made.child.alive


def test_a_frozen_child_is_seen_and_can_be_ended():
    async def live():
        made = Child('import time; print("up"); time.sleep(60)')
        await made.says('up')
        os.kill(made.child.pid, signal.SIGSTOP)
        await asyncio.to_thread(wait_for, lambda: procfs.is_frozen(made.child.pid), 5.0, 'frozen')
        await made.child.stop(0.0)
        return made.child.alive
    assert not asyncio.run(live())


def test_a_process_that_computes_is_not_asleep():
    async def live():
        made = Child('print("up", flush=True)\nwhile True: pass')
        await made.says('up')
        before, at = procfs.sample(made.child.pid), time.monotonic()
        await asyncio.sleep(0.5)
        doing = procfs.activity(before, procfs.sample(made.child.pid), time.monotonic() - at)
        await made.child.stop(0.0)
        return doing
    # On a machine that others load it waits more than it computes.
    assert asyncio.run(live()) in (procfs.Activity.BUSY, procfs.Activity.STARVED)


PARENT = """
import asyncio, sys
from va_loader.proc_supervisor import spawn
CHILD = 'from va_common.process import die_with_parent; die_with_parent(); ' \\
        'import time; print("up", flush=True); time.sleep(60)'
async def live():
    seen = asyncio.Event()
    child = spawn('child', [sys.executable, '-c', CHILD], lambda name, line: seen.set())
    await seen.wait()
    print(child.pid, flush=True)
    await child.exited()
asyncio.run(live())
"""


def test_a_child_does_not_outlive_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, '-c', PARENT], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert lives(child)
    parent.kill()
    parent.wait(5.0)
    parent.stdout.close()
    wait_for(lambda: not lives(child), 5.0, 'the child is gone')


# One instance ----------------------------------------------------------------------------------

def test_a_second_instance_is_refused_and_told_who_runs(tmp_path):
    lock = InstanceLock(tmp_path)
    lock.describe(ports=[5001])
    assert running_instance(tmp_path) == {'pid': os.getpid(), 'ports': [5001]}
    with pytest.raises(AssistantError, match=f'process {os.getpid()}'):
        InstanceLock(tmp_path)
    lock.release()
    lock.release()
    assert running_instance(tmp_path) is None
    InstanceLock(tmp_path).release()


def test_a_lock_left_by_a_killed_instance_does_not_matter(tmp_path):
    (tmp_path / 'lock').write_text('{"pid": 1}')
    assert running_instance(tmp_path) is None
    InstanceLock(tmp_path).release()


def test_a_taken_port_is_named():
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AssistantError, match=f'{port} on 127.0.0.1 is taken'):
            require_free_ports([port], patience_s=0.1)
    require_free_ports([port], patience_s=0.1)


# The guard over the loader ---------------------------------------------------------------------

class FakeLoader:
    """A loader that ends as its script says."""

    def __init__(self, code, log):
        self.exit_code, self.tail, self._log = code, ['last words'], log
        self._end = asyncio.get_running_loop().create_future()
        if code is not None:
            self._end.set_result(end_reason(code))

    async def exited(self):
        return await asyncio.shield(self._end)

    def interrupt(self):
        self._log.append('interrupt')
        self.exit_code = 0
        self._end.set_result('ended with exit code 0')

    async def stop(self, timeout_s):
        self._log.append('stop')


class Guarded:
    def __init__(self, *codes, hangs=False, budget=3):
        self.codes, self.log, self.written = list(codes), [], []
        self.guard = FatalGuard(
            self.start, self.hung if hangs else self.never, self.clear,
            lambda reason, tail: self.written.append((reason, list(tail))),
            RestartBudget(budget, 60.0), FakeClock())

    async def start(self):
        self.log.append('start')
        return FakeLoader(self.codes.pop(0), self.log)

    async def hung(self, loader):
        return 'frozen for 1.0 s'

    async def never(self, loader):
        await asyncio.Event().wait()

    async def clear(self):
        self.log.append('clear')


@pytest.mark.parametrize('code', [0, 1, 2, 3])
def test_an_end_on_purpose_is_the_end_of_main(run, code):
    async def live():
        rig = Guarded(code)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert result == code
    assert rig.log == ['start', 'stop', 'clear']
    assert not rig.written


@pytest.mark.parametrize('code', [-9, -11, EXIT_CRASHED])
def test_a_dead_loader_is_written_down_cleared_up_after_and_replaced(run, code):
    async def live():
        rig = Guarded(code, 0)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert result == 0
    assert rig.log == ['start', 'stop', 'clear', 'start', 'stop', 'clear']
    assert rig.written == [(f'loader: {end_reason(code)}', ['last words'])]


def test_a_loader_that_dies_too_often_is_given_up(run):
    async def live():
        rig = Guarded(-9, -9, -9, -9)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert result == 1
    assert rig.log.count('start') == 4
    assert 'too often' in rig.written[-1][0]


def test_a_loader_that_hangs_is_replaced(run):
    async def live():
        rig = Guarded(None, None, hangs=True, budget=1)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert result == 1
    assert 'hung: frozen' in rig.written[0][0]


def test_a_signal_stops_the_loader_in_order(run):
    async def live():
        rig = Guarded(None)
        asyncio.get_running_loop().call_later(1.0, rig.guard.stop)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert result == 0
    assert 'interrupt' in rig.log
    assert rig.log[-1] == 'clear'


def test_a_stop_before_there_is_a_loader_is_a_clean_end(run):
    async def live():
        rig = Guarded()
        rig.guard = FatalGuard(
            asyncio.Event().wait, rig.never, rig.clear, rig.written.append,
            RestartBudget(3, 60.0), FakeClock())
        asyncio.get_running_loop().call_later(1.0, rig.guard.stop)
        return await asyncio.wait_for(rig.guard.run(), 5), rig
    result, rig = run(live())
    assert (result, rig.log) == (0, ['clear'])


def test_an_impatient_second_signal_is_the_quick_one_and_an_echo_is_not():
    told, clock = [], FakeClock()
    handler = SignalHandler(lambda: told.append('stop'), lambda: told.append('kill'), clock)
    handler.take()
    handler.take()
    assert told == ['stop']
    clock.advance(3.0)
    handler.take()
    assert told == ['stop', 'kill']


def test_the_last_resort_log_keeps_reason_and_last_lines(tmp_path):
    said = []
    LastResortLog(tmp_path / 'new', said.append).write('the loader died', ['a', 'b'])
    text = (tmp_path / 'new' / 'fatal.log').read_text()
    assert 'FATAL the loader died\n    a\n    b\n' in text
    assert (tmp_path / 'new' / 'fatal.log').stat().st_mode & 0o777 == 0o600
    assert said == ['[main] FATAL: the loader died']


def test_a_last_resort_log_that_cannot_be_written_is_said_not_raised():
    said = []
    LastResortLog(Path('/proc/nowhere'), said.append).write('the loader died', [])
    assert 'could not be written' in said[-1]
