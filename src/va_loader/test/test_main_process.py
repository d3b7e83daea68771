# SPDX-License-Identifier: Apache-2.0
"""main, loader and node processes for real, with nodes that have no engine: boot, faults, stop."""

import os
from pathlib import Path
import random
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from va_common import qos
from va_common.ports import PORTS
from va_common.testing import ros_context, spin, wait_for
from va_interfaces.msg import AssistantState
from va_interfaces.srv import GetPids, TriggerWake
from va_loader import procfs

HERE = Path(__file__).parent
NAMESPACE = 'va_loader_test'
NAMES = ('logger', 'tts', 'llm', 'stt', 'kwd')
BOOT_S = 90.0
"""Some seconds on a quiet machine."""
INI = """
[system]
profile=cpu
port_offset={offset}
[loader]
parallel_phase_timeout_ms=30000
restart_backoff_ms={backoff}
restart_limit={limit}
health_interval_ms=500
[logger]
log_dir={folder}/log
"""


def _free_offset():
    """An offset whose health ports nobody uses: two clones may be tested at once."""
    def free(port):
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) != 0
    return next(offset for offset in random.sample(range(2600, 3600, 20), 50)
                if all(free(port + offset) for port in PORTS.values()))


class Assistant:
    """A running main, seen from outside."""

    def __init__(self, folder, context):
        self.folder = folder
        self.states = []
        self.node = context_node(context)
        self.node.create_subscription(
            AssistantState, 'loader/state', self.states.append, qos.STATE)
        self._make_packages()
        self.configure()
        self.process = None

    def configure(self, backoff='100,200,300', limit=3):
        (self.folder / 'assistant.ini').write_text(
            INI.format(
                folder=self.folder, backoff=backoff, limit=limit, offset=_free_offset()))

    def _make_packages(self):
        for name in NAMES:
            package = self.folder / 'packages' / f'va_{name}'
            package.mkdir(parents=True)
            (package / '__init__.py').touch()
            (package / 'main.py').write_text(
                'import runpy, sys\n'
                f'sys.argv.insert(1, {name!r})\n'
                f'runpy.run_path({str(HERE / "fake_node.py")!r}, run_name="__main__")\n')

    def command(self, *more):
        return [sys.executable, '-m', 'va_loader.main', '--config',
                str(self.folder / 'assistant.ini'), '--namespace', NAMESPACE, *more]

    def va(self, *words):
        """What ``./va`` prints."""
        done = subprocess.run(
            [sys.executable, '-m', 'va_loader.cli', *words, '--namespace', NAMESPACE],
            env=self.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def environ(self):
        path = f'{self.folder / "packages"}:{os.environ.get("PYTHONPATH", "")}'
        return {**os.environ, 'PYTHONPATH': path, 'FAKE_DIR': str(self.folder)}

    def start(self):
        self.output = (self.folder / 'output').open('ab')
        self.process = subprocess.Popen(
            self.command(), env=self.environ, stdout=self.output, stderr=subprocess.STDOUT,
            start_new_session=True)
        return self

    def tell(self, node, what):
        (self.folder / f'{node}.{what}').touch()

    def untell(self, node, what):
        (self.folder / f'{node}.{what}').unlink()

    def wait_state(self, *names, timeout_s=BOOT_S, since=0):
        try:
            return wait_for(
                lambda: next((s for s in self.states[since:] if s.name in names), None),
                timeout_s, str(names))
        except AssertionError as error:
            raise AssertionError(f'{error}; {self.text()[-2000:]}') from None

    def text(self):
        return (self.folder / 'output').read_text()

    def ask(self, kind, name, request=None):
        client = self.node.create_client(kind, f'loader/{name}')
        assert client.wait_for_service(10.0)
        pending = client.call_async(request or kind.Request())
        return wait_for(lambda: pending.result() if pending.done() else None, 10.0, name)

    def pids(self):
        answer = self.ask(GetPids, 'get_pids')
        return dict(zip(answer.names, answer.pids, strict=True))

    def fork_server(self):
        processes = psutil.Process(self.process.pid).children()
        return next(p.pid for p in processes
                    if lives(p.pid) and 'va_loader.forker' in p.cmdline())

    def stop(self, number=signal.SIGINT):
        """Stop it; returns exit code and seconds."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30.0)
        return code, time.monotonic() - started

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        if self.process is not None:
            self.output.close()


def context_node(context):
    import rclpy
    return rclpy.create_node('watcher', namespace=NAMESPACE, context=context)


@pytest.fixture
def assistant(tmp_path):
    with ros_context() as context:
        made = Assistant(tmp_path, context)
        with spin(made.node):
            yield made
            made.close()
        made.node.destroy_node()


def lives(pid):
    return procfs.sample(pid).state not in ('', 'Z')


def test_a_whole_life(assistant):
    """Boot, a second instance, a lost node, a frozen one, a dead loader, an orderly stop."""
    assistant.start().wait_state('idle')
    # From the log: the whole boot may be over before the watcher has found the loader.
    marks = [f'{name} begins' for name in ('phase1', 'phase2', 'phase3')] + ['ready ms=']
    wait_for(lambda: marks[-1] in assistant.text(), 10.0, marks[-1])
    places = [assistant.text().index(mark) for mark in marks]
    assert places == sorted(places)
    pids = assistant.pids()
    assert set(pids) == {'loader', *NAMES} and all(lives(pid) for pid in pids.values())

    second = subprocess.run(assistant.command(), env=assistant.environ, capture_output=True,
                            text=True, timeout=30)
    assert second.returncode == 3
    assert f'process {assistant.process.pid}' in second.stderr

    seen = len(assistant.states)
    os.kill(pids['llm'], signal.SIGKILL)
    assert 'SIGKILL' in assistant.wait_state('recovering', since=seen).reason
    assistant.wait_state('idle', since=seen + 1)
    after = assistant.pids()
    assert [name for name in pids if pids[name] != after[name]] == ['llm']

    seen = len(assistant.states)
    os.kill(after['tts'], signal.SIGSTOP)
    assert 'frozen' in assistant.wait_state('recovering', since=seen, timeout_s=15).reason
    assistant.wait_state('idle', since=seen + 1)

    seen, before = len(assistant.states), assistant.pids()
    os.kill(before['loader'], signal.SIGKILL)
    assistant.wait_state('idle', since=seen)
    assert not any(lives(pid) for pid in before.values())
    assert 'killed by SIGKILL' in (assistant.folder / 'log' / 'fatal.log').read_text()

    seen, before = len(assistant.states), assistant.pids()
    os.kill(assistant.fork_server(), signal.SIGKILL)
    assistant.wait_state('idle', since=seen)
    assert not any(lives(pid) for pid in before.values())
    assert 'the fork server: killed by SIGKILL' in (
        assistant.folder / 'log' / 'fatal.log').read_text()

    last = [*assistant.pids().values(), assistant.fork_server()]
    code, _ = assistant.stop()
    assert code == 0
    assert not any(map(lives, last))


def test_nothing_is_left_when_main_is_killed(assistant):
    assistant.start().wait_state('idle')
    pids = [*assistant.pids().values(), assistant.fork_server()]
    assistant.process.kill()
    wait_for(lambda: not any(map(lives, pids)), 30.0, 'all are gone')
    assert assistant.states[-1].name == 'stopping'


def test_processes_are_started_without_a_fork_server_when_there_can_be_none(assistant):
    (assistant.folder / 'packages' / 'sitecustomize.py').write_text(
        "import sys\nif 'va_loader.forker' in sys.orig_argv: raise SystemExit('not today')\n")
    assistant.start().wait_state('idle')
    assert 'processes are started without it' in assistant.text()
    pids = assistant.pids()
    assistant.process.kill()
    wait_for(lambda: not any(map(lives, pids.values())), 30.0, 'all are gone')


def test_a_phase_that_fails_is_tried_again_then_fatal(assistant):
    assistant.configure(backoff='100')
    assistant.tell('llm', 'refuse')
    assistant.start()
    state = assistant.wait_state('fatal')
    assert assistant.process.wait(30.0) == 1
    assert 'phase1 failed 2 times' in state.reason
    assert 'model fake.onnx is missing' in state.reason
    assert 'stt: configured' not in assistant.text()


def test_a_stop_while_a_node_hangs_in_configure(assistant):
    assistant.tell('llm', 'hang')
    assistant.start()
    wait_for(lambda: 'phase1 begins' in assistant.text(), BOOT_S, 'phase 1')
    code, seconds = assistant.stop(signal.SIGTERM)
    assert code == 0
    assert seconds < 10.0


def test_a_node_that_says_not_serving_is_restarted_until_its_budget_is_spent(assistant):
    assistant.configure(limit=1)
    assistant.start().wait_state('idle')
    assistant.tell('stt', 'deaf')
    # The restarted node comes up once it is told to hear again, then the budget is spent.
    wait_for(lambda: 'stt is lost: told to be deaf' in assistant.text(), 30.0, 'a restart')
    assistant.untell('stt', 'deaf')
    wait_for(lambda: 'stt is back' in assistant.text(), BOOT_S, 'stt')
    assistant.tell('stt', 'deaf')
    state = assistant.wait_state('fatal')
    assert 'stt needed more than 1 restarts in 60 s' in state.reason
    assert assistant.process.wait(30.0) == 1


def test_a_node_that_waits_for_its_device_is_not_restarted(assistant):
    assistant.configure(limit=1)
    assistant.start().wait_state('idle')
    pids = assistant.pids()
    seen = len(assistant.states)
    assistant.tell('stt', 'unplugged')
    state = assistant.wait_state('recovering', since=seen)
    assert state.reason == 'stt: the microphone is gone; plug it in'
    seen = len(assistant.states)
    assistant.untell('stt', 'unplugged')
    assistant.wait_state('idle', since=seen)
    assert assistant.pids() == pids
    assert 'is lost' not in assistant.text()


@pytest.mark.parametrize(('how', 'reason'), [
    ('wedged', 'stood still'), ('holding', 'no answer')])
def test_a_wedged_node_is_restarted(assistant, how, reason):
    """A callback that never returns; native code that never lets go of the interpreter."""
    assistant.start().wait_state('idle')
    seen = len(assistant.states)
    assistant.tell('llm', how)
    state = assistant.wait_state('recovering', since=seen)
    assistant.untell('llm', how)
    assert reason in state.reason
    assert 'restarting it, attempt 1 of 3' in state.reason
    assistant.wait_state('idle', since=seen + 1)


def test_status_push_to_talk_and_stop(assistant):
    """What is wrong with the sound is told though every node serves."""
    assistant.tell('stt', 'muffled')
    assistant.start().wait_state('idle')
    def status_with_warning():
        text = assistant.va('status')
        return text if ', but ' in text else ''
    text = wait_for(status_with_warning, 60.0, 'the warning')
    rows = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert rows['state'] == 'idle (running)'
    assert rows['stt'].endswith('SERVING, but the microphone is muffled')
    assert rows['tts'].endswith('SERVING')

    seen = len(assistant.states)
    dialog_id = assistant.ask(TriggerWake, 'wake').dialog_id
    state = assistant.wait_state('acknowledging', since=seen)
    assert state.dialog_id == dialog_id
    assistant.wait_state('listening', since=seen)
    assert assistant.va('stop') == 'stopping\n'
    assert assistant.process.wait(30.0) == 0


@pytest.mark.parametrize(('ini', 'code', 'text'), [
    ('[system]\nport=1\n', 2, 'assistant.ini:2: port: unknown key'),
    ('[loader]\nrestart_limit=1000\n', 2, 'out of range'),
])
def test_a_wrong_configuration_starts_nothing(assistant, ini, code, text):
    (assistant.folder / 'assistant.ini').write_text(ini)
    done = subprocess.run(assistant.command(), env=assistant.environ, capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == code
    assert text in done.stderr
    assert 'Traceback' not in done.stderr
    assert not assistant.states


def test_the_command_line_says_that_nothing_runs():
    done = subprocess.run(
        [sys.executable, '-m', 'va_loader.cli', 'status', '--namespace', 'nobody_here'],
        capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (
        4, 'no assistant is running in namespace /nobody_here: start one with ./va run\n')
