# SPDX-License-Identifier: Apache-2.0
"""The running graph: states, processes, sockets, settings."""
import os
from pathlib import Path

import psutil
import pytest
from settings_of_tests import make_config, PORT_OFFSET
from virtual_room.product import Product

from va_common.health import check, HealthState
from va_common.ports import PORTS
from va_interfaces.srv import GetPids

NODES = {'logger', 'loader', 'kwd', 'stt', 'llm', 'tts'}


def test_states_come_in_order(assistant, observer):
    names = [e.message.name for e in observer.since(0, 'loader/state')]
    phases = [e.message.phase for e in observer.since(0, 'loader/state')]
    assert set(names[:names.index('idle')]) <= {'booting', 'recovering'}
    order = ['boot', 'phase1', 'phase2', 'phase3', 'warm_up', 'running']
    seen = list(dict.fromkeys(phases[:names.index('idle') + 1]))
    assert seen == [phase for phase in order if phase in seen]
    assert seen[-1] == 'running'


def test_the_greeting_is_spoken(assistant, observer):
    assert observer.wait(
        lambda e: e.topic == 'tts/playback' and e.message.text == 'Hi, Master!', 20.0)


@pytest.mark.parametrize('name', sorted(NODES))
def test_every_process_serves_health(assistant, name):
    assert check(PORTS[name] + PORT_OFFSET, 2.0) is HealthState.SERVING


def test_pids_are_told(robot):
    answer = robot.call(GetPids, 'loader/get_pids')
    pids = dict(zip(answer.names, answer.pids, strict=True))
    assert answer.error_code == 0
    assert set(pids) >= NODES
    assert all(psutil.pid_exists(pid) for pid in pids.values() if pid)
    assert all(pids[name] > 0 for name in NODES)


def test_no_socket_leaves_this_host(assistant):
    processes = assistant.processes()
    assert len(processes) >= 7
    addresses = {(Path(p.cmdline()[-1]).name, c.laddr.ip, c.laddr.port, c.raddr and c.raddr.ip)
                 for p in processes for c in p.net_connections(kind='inet')}
    # 239.255.0.1: DDS discovery is a multicast group, joined on the loopback interface only.
    local = ('127.', '::1', '::ffff:127.', '239.255.')
    abroad = [a for a in addresses
              if not a[1].startswith(local) or (a[3] and not a[3].startswith(local))]
    assert addresses
    assert not abroad


def test_a_second_instance_is_refused(assistant, room, tmp_path):
    second = Product(make_config(tmp_path), room.environment(), tmp_path / 'second.log')
    second.start()
    try:
        code = second.process.wait(20)
    finally:
        second.kill()
    lines = second.log.read_text()
    assert code == 3
    assert 'Traceback' not in lines
    assert assistant.running


def test_the_log_says_what_happened(assistant, tmp_path_factory):
    log = next((assistant.log.parent / 'log').glob('*.log'))
    text = log.read_text()
    assert 'Traceback' not in text
    assert text.count('\n') > 5


def test_a_threshold_can_be_changed_while_it_runs(robot, user, observer, idle):
    assert robot.set_parameter('kwd', 'confidence_threshold', 1.0) == (True, '')
    try:
        _, end_s = user.say('Hey Jarvis.').times()
        import time

        woken = observer.wait(
            lambda e: e.topic == 'kwd/wake', end_s - time.time() + 2.5, mark=idle
        )
        assert woken is None
    finally:
        assert robot.set_parameter('kwd', 'confidence_threshold', 0.6)[0]


def test_a_value_out_of_range_is_refused(robot):
    accepted, reason = robot.set_parameter('kwd', 'confidence_threshold', 7.0)
    assert not accepted
    assert 'confidence_threshold' in reason or 'range' in reason


def test_its_processes_are_named(assistant):
    shown = ' '.join(' '.join(p.cmdline()) for p in assistant.processes())
    for name in ('va_loader', 'va_logger', 'va_kwd', 'va_stt', 'va_llm', 'va_tts'):
        assert name in shown
    assert os.getpid() not in [p.pid for p in assistant.processes()]
