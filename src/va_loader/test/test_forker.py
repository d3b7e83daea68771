# SPDX-License-Identifier: Apache-2.0
"""The fork server for real: what it starts, how that ends, and what happens when somebody dies."""

import asyncio
import os
from pathlib import Path
import select
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from va_common.testing import wait_for
from va_loader import procfs
from va_loader.fork_client import ForkClient
from va_loader.fork_protocol import ForkError
from va_loader.fork_server import ForkServer, PRELOADED
from va_loader.proc_supervisor import spawn

PATIENCE_S = 60.0
"""The fork server imports for two seconds, on a busy machine for many."""

CHILD = """
import os, signal, sys, threading
print('up', os.getpid(), flush=True)
what = sys.argv[1] if len(sys.argv) > 1 else ''
if what == 'tell':
    print('environ', os.environ.get('ONLY_HERE'), os.environ.get('ONLY_THERE'))
    print('fds', [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')
                  if n not in '012' and os.path.exists(f'/proc/self/fd/{n}')])
    print('group', os.getpgrp() == os.getsid(0) == os.getpid())
    print('main', sys.modules['__main__'].__name__, __name__, sys.argv)
    print('numpy', __import__('numpy').random.random())
if what == 'work':
    import rclpy
    from va_common.health import HealthServer
    server = HealthServer(0)
    server.start()
    context = rclpy.Context()
    rclpy.init(context=context)
    rclpy.create_node('forked', context=context).destroy_node()
    context.shutdown()
    server.stop()
if what == 'exit':
    sys.exit(int(sys.argv[2]))
if what == 'raise':
    raise ValueError('a mistake')
if what == 'abort':
    os.abort()
if what == 'stay':
    threading.Event().wait(600.0)
if what == 'deaf':
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('ignoring', flush=True)
    threading.Event().wait(600.0)
"""

FAMILY = """
import asyncio, os, signal, sys
from va_loader.fork_client import inherited_client
async def live():
    client = inherited_client()
    told = []
    children = [client.start('grand', 'forker_child', ['stay'], dict(os.environ),
                             lambda name, line: told.append(line)) for _ in range(2)]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while len(told) < 2:
        await asyncio.sleep(0.01)
    print('family', *(child.pid for child in children), flush=True)
    await ended.wait()
    open(os.environ['ASKED'], 'w').close()
    for child in children:
        await child.stop(0.0)
if __name__ == '__main__':
    asyncio.run(live())
"""

MAIN = """
import asyncio, os, sys
from va_loader.fork_server import ForkServer
async def live():
    server = ForkServer(dict(os.environ), lambda name, line: print(line, flush=True),
                        ())
    child = await server.start('family', 'forker_family', [], dict(os.environ))
    print('forker', server.pid, 'child', child.pid, flush=True)
    print('ended', await child.exited(), flush=True)
    await asyncio.Event().wait()
asyncio.run(live())
"""


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    (tmp_path / 'forker_child.py').write_text(CHILD)
    (tmp_path / 'forker_family.py').write_text(FAMILY)
    monkeypatch.setenv('ASKED', str(tmp_path / 'asked'))
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}')


def lives(pid):
    return procfs.sample(pid).state not in ('', 'Z')


class Rig:
    """A fork server and what came out of it."""

    def __init__(self, modules):
        self.lines = []
        self.server = ForkServer(dict(os.environ), lambda name, line: self.lines.append(line),
                                 modules)

    async def start(self, *arguments, environ=None):
        return await self.server.start(
            'child', 'forker_child', arguments, environ or dict(os.environ))

    async def says(self, word):
        async def heard():
            while not any(word in line for line in self.lines):
                await asyncio.sleep(0.01)
        await asyncio.wait_for(heard(), PATIENCE_S)
        return next(line for line in self.lines if word in line)


def live(scenario, modules=('numpy',)):
    """Run a scenario with a fork server that is ended after it; what it left behind."""
    async def run():
        rig = Rig(modules)
        try:
            return await scenario(rig)
        finally:
            pid = rig.server.pid
            await rig.server.end()
            assert not pid or not lives(pid)
    return asyncio.run(asyncio.wait_for(run(), 3 * PATIENCE_S))


def test_a_forked_process_is_as_if_it_had_been_started(monkeypatch):
    monkeypatch.setenv('ONLY_THERE', 'wrong')

    async def scenario(rig):
        environ = {k: v for k, v in os.environ.items() if k != 'ONLY_THERE'} | {'ONLY_HERE': 'ü'}
        first = await rig.start('tell', environ=environ)
        assert await first.exited() == 'ended with exit code 0'
        second = await rig.start('tell', environ=environ)
        await second.exited()
        assert first.exit_code == second.exit_code == 0
        return rig.lines
    lines = live(scenario)
    assert lines.count('environ ü None') == 2
    assert lines.count('group True') == 2
    assert all('__main__ __main__' in line and line.endswith("'tell']")
               for line in lines if line.startswith('main'))
    assert len({line for line in lines if line.startswith('numpy')}) == 2
    fds = [line for line in lines if line.startswith('fds')]
    assert all('socket' in line and line.count('socket') == 1 and 'pipe' not in line
               for line in fds), fds


@pytest.mark.parametrize(('arguments', 'code', 'last'), [
    (('work',), 0, 'up'), (('exit', '3'), 3, 'up'), (('raise',), 1, 'ValueError: a mistake'),
    (('abort',), -signal.SIGABRT, 'up')])
def test_how_it_ended_is_told(arguments, code, last):
    async def scenario(rig):
        child = await rig.start(*arguments)
        await asyncio.wait_for(child.exited(), PATIENCE_S)
        assert child.exit_code == code
        assert last in child.tail[-1]
        assert not lives(child.pid)
        forker = psutil.Process(rig.server.pid)
        assert not forker.children()
        assert forker.cmdline()[-2:] == ['-m', 'va_loader.forker']
    live(scenario, PRELOADED if 'work' in arguments else ())


def test_it_can_be_seen_signalled_and_killed():
    async def scenario(rig):
        child = await rig.start('stay')
        await rig.says('up')
        assert psutil.Process(child.pid).cmdline()[-3:] == ['-m', 'forker_child', 'stay']
        child.terminate()
        assert await asyncio.wait_for(child.exited(), PATIENCE_S) == 'killed by SIGTERM'
        deaf = await rig.start('deaf')
        await rig.says('ignoring')
        await deaf.stop(0.2)
        assert deaf.exit_code == -signal.SIGKILL
    live(scenario)


def test_the_server_loads_no_engine_and_starts_no_thread_of_its_own():
    async def scenario(rig):
        child = await rig.start('stay')
        await rig.says('up')
        maps = Path(f'/proc/{rig.server.pid}/maps').read_text()
        assert 'rclpy' in maps and 'numpy' in maps
        assert not any(word in maps for word in ('onnxruntime', 'ctranslate2', 'portaudio'))
        states = [procfs._stat_fields(task)[0]
                  for task in Path(f'/proc/{rig.server.pid}/task').iterdir()]
        assert set(states) <= {'S', 'R'} and states.count('R') <= 1
        await child.stop(0.0)
        return rig.lines
    lines = live(scenario, PRELOADED)
    assert not [line for line in lines if 'not loaded ahead' in line]


def test_a_server_that_is_killed_takes_its_children_along_and_is_replaced():
    async def scenario(rig):
        child = await rig.start('stay')
        await rig.says('up')
        os.kill(rig.server.pid, signal.SIGKILL)
        assert await asyncio.wait_for(child.exited(), PATIENCE_S) == 'killed by SIGKILL'
        await asyncio.to_thread(wait_for, lambda: not lives(child.pid), 5.0, 'the child is gone')
        told = []
        await rig.server.settle(lambda reason, tail: told.append(reason))
        assert told == ['the fork server: killed by SIGKILL']
        await (await rig.start('stay')).stop(0.0)
    live(scenario)


def test_a_frozen_server_is_noticed_and_ended():
    async def scenario(rig):
        child = await rig.start('stay')
        await rig.says('up')
        os.kill(rig.server.pid, signal.SIGSTOP)
        reason = await asyncio.wait_for(rig.server.hung(0.05), PATIENCE_S)
        assert reason == 'the fork server is frozen'
        await rig.server.settle(lambda reason, tail: None)
        await asyncio.to_thread(wait_for, lambda: not lives(child.pid), 5.0, 'the child is gone')
    live(scenario)


def test_a_server_that_does_its_work_is_not_hung():
    async def scenario(rig):
        child = await rig.start('stay')
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rig.server.hung(0.02), 1.0)
        assert child.alive
        await child.stop(0.0)
    live(scenario)


@pytest.mark.parametrize('moment', range(12))
def test_a_question_can_be_cancelled_also_when_the_answer_has_just_come(moment):
    async def scenario():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            question = asyncio.ensure_future(ForkClient(ours).ping(10.0))
            while not question.done():
                await asyncio.sleep(0)
                if select.select([theirs], [], [], 0)[0]:
                    theirs.send(theirs.recv(1000))
                    break
            for _ in range(moment):
                await asyncio.sleep(0)
            if question.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await question
    asyncio.run(scenario())


def test_a_server_that_never_answers_is_an_error():
    async def scenario():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client = ForkClient(ours)
        with theirs, pytest.raises(ForkError, match='does not answer within 0.1 s'):
            await client.ping(0.1)
        with pytest.raises(ForkError, match='has ended'):
            client.start('x', 'x', [], {}, print)
        with pytest.raises(ForkError, match='too large'):
            client.start('x', 'x', [], {'X': 'x' * 300_000}, print)
        client.end()
        client.end()
    asyncio.run(scenario())


# Deaths in the family: main, the loader that it starts, the nodes that the loader starts ---------

class Family:
    def __init__(self):
        self.main = subprocess.Popen(
            [sys.executable, '-c', MAIN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True)
        self.pids = {}
        while not {'forker', 'family'} <= set(self.pids):
            words = self.main.stdout.readline().split()
            assert words, 'main has ended'
            if words[0] == 'forker':
                self.pids['forker'] = [int(words[1])]
                self.pids['loader'] = [int(words[3])]
            if words[0] == 'family':
                self.pids['family'] = [int(word) for word in words[1:]]

    def kill(self, *names):
        for name in names:
            for pid in [self.main.pid] if name == 'main' else self.pids[name]:
                os.kill(pid, signal.SIGKILL)

    def wait_gone(self, *names):
        pids = [pid for name in names for pid in self.pids[name]]
        wait_for(lambda: not any(map(lives, pids)), PATIENCE_S, f'{names} are gone')

    def close(self):
        self.main.kill()
        self.main.wait(5.0)
        self.main.stdout.close()


@pytest.fixture
def family():
    made = Family()
    yield made
    made.close()
    made.wait_gone(*made.pids)


@pytest.mark.parametrize('victims', [
    ('main',), ('main', 'loader'), ('loader', 'main'), ('main', 'forker'), ('forker', 'main')])
def test_nothing_outlives_main(family, victims):
    family.kill(*victims)
    family.wait_gone('forker', 'loader', 'family')


def test_the_loader_is_asked_to_end_in_order_when_main_is_gone(family, tmp_path):
    family.kill('main')
    wait_for((tmp_path / 'asked').exists, PATIENCE_S, 'the loader is asked')


def test_nodes_end_with_the_loader_and_the_server_goes_on(family):
    family.kill('loader')
    family.wait_gone('loader', 'family')
    assert 'ended killed by SIGKILL' in family.main.stdout.readline()
    assert lives(family.pids['forker'][0])


def test_everything_ends_with_the_server_but_main(family):
    family.kill('forker')
    family.wait_gone('loader', 'family')
    assert 'ended killed by SIGKILL' in family.main.stdout.readline()
    assert family.main.poll() is None


def test_a_loader_that_does_not_obey_is_killed_in_time():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = ('import sys; from va_loader import forker; forker.ORPHAN_S = 0.5; '
               'sys.exit(forker.main())')

    async def scenario():
        lines = []
        server = spawn('forker', [sys.executable, '-c', command, '--fd', str(theirs.fileno())],
                       lambda name, line: lines.append(line), None, (theirs.fileno(),))
        theirs.close()
        client = ForkClient(ours)
        await client.ready(PATIENCE_S)
        child = client.start('deaf', 'forker_child', ['deaf'], dict(os.environ),
                             lambda name, line: lines.append(line), signal.SIGTERM)
        while 'ignoring' not in lines:
            await asyncio.sleep(0.01)
        ours.close()
        assert await asyncio.wait_for(child.exited(), PATIENCE_S) == 'killed by SIGKILL'
        assert await asyncio.wait_for(server.exited(), PATIENCE_S) == 'ended with exit code 0'
    asyncio.run(scenario())
