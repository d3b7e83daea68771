# SPDX-License-Identifier: Apache-2.0
"""What boot and soak make of their raw values."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
import json
import signal
import socket
import subprocess
import threading
from types import SimpleNamespace

from boot import COMPONENTS, summary, WAYS
from command_line import carry_out, command, EndedEarly, INTERRUPTED_CODE, Measured
import psutil
import pytest
import run
from scale import _measure as scale_measure
from scale import figures_of as scale_of
from scale import has_model, require_serving
from scorecard import Others, read, update
from soak import figures_of, growth, pss_by_process, pss_mb, Watcher
from voice.ears import NotComing
from waiting import wait_serving, watch

from va_common.health import HealthServer
from va_common.ports import PORTS


def test_the_slowest_component_is_named():
    times = {way: [1000.0, 3000.0] for way in WAYS} | {name: [500.0] for name in COMPONENTS}
    times['llm'] = [900.0, 700.0]
    figures = summary(times)
    assert figures['phased'] == {'p50': 2000, 'p95': 2900, 'n': 2}
    assert figures['slowest_component'] == {'p50': 800, 'p95': 890, 'n': 2, 'name': 'llm'}
    assert set(figures['components_detail']) == set(COMPONENTS)


def test_growth_compares_the_ends_and_leaves_out_the_first():
    assert growth([500.0, *[100.0] * 10, *[150.0] * 10]) == (100.0, 150.0)
    assert growth([9.0, 1.0, 2.0]) == (1.0, 2.0)
    assert growth([1.0, 2.0]) == (1.0, 2.0)
    with pytest.raises(ValueError, match='no values'):
        growth([])


def test_figures_of_a_soak():
    counter = Watcher(0)
    for sequence in (4, 5, 6, 9, 10, 0, 1):
        counter.take(sequence)
    latency = [{'speech_end': 10.0, 'first_token': 10.0 + wait, 'outcome': 'answered'}
               for wait in (0.9, 0.1, 0.1, 0.2)] + [{'outcome': 'failed', 'speech_end': 9.0}]
    figures = figures_of(
        [{'stt': mb / 2, 'tts': mb / 2} for mb in (900.0, 1000.0, 1010.0, 1030.5)], latency,
        counter)
    assert (figures['turns'], figures['pss_growth_mb']) == (4, 30.5)
    assert figures['first_token_growth'] == 2.0
    assert figures['missed_audio'] == 2
    assert figures['soak_detail']['chunks'] == 7
    assert figures['soak_detail']['pss_mb_by_process']['tts'][-1] == 515.2


def test_a_turn_is_over_when_the_report_of_its_speech_has_come():
    watcher = Watcher(0)
    watcher.report(100.0)
    assert watcher.wait_over(100.3, 0.0), 'the ends of one speech differ a little'
    watcher.report(90.0)  # late
    assert watcher.wait_over(100.3, 0.0)
    assert not watcher.wait_over(104.0, 0.0)
    later = threading.Timer(0.05, watcher.report, (103.9,))
    later.start()
    assert watcher.wait_over(104.0, 30.0)
    later.join()


def test_memory_of_a_process():
    assert pss_mb([psutil.Process()]) > 1.0
    assert pss_mb([]) == 0.0
    assert sum(pss_by_process([psutil.Process(), psutil.Process()]).values()) > 2.0


def test_what_further_assistants_cost():
    cost = {count: {'pss_mb': mb, 'cpu_core_percent': 5.0}
            for count, mb in ((1, 1000.0), (2, 1500.0), (4, 2800.0))}
    figures = scale_of(cost)
    assert figures['second_memory'] == 0.5
    assert figures['each_further_mb'] == {'2': 500.0, '4': 600.0}
    assert figures['assistants']['4']['pss_mb'] == 2800.0


def test_a_machine_that_does_not_carry_four_says_so():
    figures = scale_of({1: {'pss_mb': 1000.0}, 2: {'pss_mb': 1600.0}, 4: {'not_measured': 'why'}})
    assert (figures['second_memory'], figures['each_further_mb']) == (0.6, {'2': 600.0})
    assert figures['assistants']['4'] == {'not_measured': 'why'}
    assert scale_of({1: {'pss_mb': 1000.0}})['second_memory'] is None


@pytest.mark.parametrize(('reason', 'done', 'ended_early', 'counts'), [
    ('assistant 3 was not SERVING', (1, 2), '', {1, 2, 4}),
    ('assistant 2 was not SERVING', (1,), 'assistant 2 was not SERVING', {1, 2, 4}),
    ('interrupted', (1, 2), 'interrupted', {1, 2})])
def test_two_of_four_are_a_result(monkeypatch, reason, done, ended_early, counts):
    early = EndedEarly()
    early.reason = reason
    monkeypatch.setattr('scale._costs', lambda *_: (
        {count: {'pss_mb': 900.0 * count} for count in done}, early))
    found = scale_measure(SimpleNamespace(ollama='nonsense', model='x'))
    assert found.ended_early == ended_early
    _, figures = found.parts['scale']
    assert set(figures['assistants']) == {str(count) for count in counts}
    if 4 in counts:
        assert figures['assistants']['4'] == {'not_measured': reason}


def free_offset() -> int:
    """For the health ports of an assistant: none of them is taken."""
    for offset in range(20_000, 50_000, 10):
        with ExitStack() as stack:
            try:
                for port in PORTS.values():
                    stack.enter_context(socket.socket()).bind(('127.0.0.1', port + offset))
            except OSError:
                continue
            return offset
    raise RuntimeError('no free ports')


def test_assistants_that_do_not_stay_up_are_not_measured():
    offset = free_offset()
    servers = {node: HealthServer(port + offset) for node, port in PORTS.items()}
    with ExitStack() as stack:
        for node, server in servers.items():
            server.start()
            stack.callback(server.stop)
            server.set(node != 'tts', 'it is restarted')
        with pytest.raises(NotComing, match='assistant 1 of 1 did not stay up: '
                                            'tts is NOT_SERVING it is restarted'):
            require_serving([offset])
        servers['tts'].set(True)
        require_serving([offset])


def test_no_server_is_no_model():
    assert not has_model('http://127.0.0.1:9', 'smollm2:135m')
    assert not has_model('nonsense', 'smollm2:135m')


def three_turns(problem: BaseException | None) -> Measured:
    done = []
    with EndedEarly() as early:
        for number in range(3):
            if number == 2 and problem is not None:
                raise problem
            done.append(number)
    early.require(done)
    return Measured({'soak': ('soak', {'turns': len(done)})}, {'n': f'{len(done)} of 3'},
                    early.reason)


@pytest.mark.parametrize(('problem', 'code', 'turns', 'reason'), [
    (None, 0, 3, None), (NotComing('it died'), 1, 2, 'it died'),
    (KeyboardInterrupt(), INTERRUPTED_CODE, 2, 'interrupted')])
def test_what_ends_early_keeps_what_it_has(tmp_path, problem, code, turns, reason):
    assert carry_out('soak', ['--turns', '3'], tmp_path, partial(three_turns, problem)) == code
    card = read(tmp_path / 'scorecard.json')
    how = card['soak']['conditions']['soak']
    assert (card['soak']['turns'], how.get('ended_early')) == (turns, reason)
    assert how['command'] == './va bench soak --turns 3'
    assert {'machine', 'profile', 'commit', 'n', 'others_core_percent', 'wall_s'} <= set(how)


def test_what_found_nothing_leaves_the_scorecard_as_it_is(tmp_path, capsys):
    update(tmp_path / 'scorecard.json', 'soak', 'soak', {'turns': 200}, {})

    def nothing() -> Measured:
        with EndedEarly() as early:
            raise NotComing('no greeting')
        early.require([])
        return Measured({})

    assert carry_out('soak', [], tmp_path, nothing) == 1
    assert 'no greeting' in capsys.readouterr().err
    assert read(tmp_path / 'scorecard.json')['soak']['turns'] == 200


def test_an_error_in_the_bench_itself_is_not_swallowed():
    with pytest.raises(ZeroDivisionError), EndedEarly():
        _ = 1 / 0


def test_what_is_replaced_stays_in_the_history(tmp_path):
    card = tmp_path / 'scorecard.json'
    for turns in (200, 8):
        update(card, 'soak', 'soak', {'turns': turns, f'of_{turns}': 1}, {'commit': 'abc'})
    update(card, 'idle', 'idle', {'pss_mb': 700.0}, {})
    assert {key for key in read(card)['soak']} == {'turns', 'of_8', 'conditions'}
    lines = [json.loads(line) for line in (tmp_path / 'history.jsonl').read_text().splitlines()]
    assert [line['figures'].get('turns') for line in lines] == [200, 8, None]


@pytest.mark.parametrize(('commit', 'early', 'turns', 'said'), [
    ('abc', True, 200, 'of this commit stay'), ('def', True, 8, 'figures of commit abc'),
    ('abc', False, 8, '')])
def test_what_ended_early_does_not_replace_a_whole_run_of_the_same_commit(
        tmp_path, commit, early, turns, said):
    card = tmp_path / 'scorecard.json'
    assert not update(card, 'soak', 'soak', {'turns': 200}, {'commit': 'abc'})
    how = {'commit': commit} | ({'ended_early': 'interrupted'} if early else {})
    note = update(card, 'soak', 'soak', {'turns': 8}, how)
    assert said in note and bool(said) == bool(note)
    assert read(card)['soak']['turns'] == turns
    lines = (tmp_path / 'history.jsonl').read_text().splitlines()
    assert [json.loads(line)['figures']['turns'] for line in lines] == [200, 8]


def test_one_that_ended_early_gives_way_to_the_next(tmp_path):
    card = tmp_path / 'scorecard.json'
    for turns in (8, 5):
        how = {'commit': 'abc', 'ended_early': 'interrupted'}
        assert not update(card, 'soak', 'soak', {'turns': turns}, how)
    assert read(card)['soak']['turns'] == 5


def test_after_ctrl_c_nothing_more_is_measured(monkeypatch, tmp_path):
    begun = []

    def bench(name: str, _: list[str]) -> int:
        begun.append(name)
        return INTERRUPTED_CODE if name == 'voice' else 1

    monkeypatch.setattr(run, '_bench', bench)
    assert run.main([]) == 1
    assert begun == ['hearing', 'voice']


@pytest.mark.parametrize('argv', [
    ['--turns', '8', '--out', 'x'], ['--out=x', '--turns', '8'], ['--turns', '8']])
def test_the_command_is_that_of_any_machine(argv):
    assert command('soak', argv) == './va bench soak --turns 8'


def test_the_work_of_others_is_told_from_ours(monkeypatch):
    busy = {'user': 100.0, 'nice': 0.0, 'system': 20.0, 'irq': 0.0, 'softirq': 1.0, 'steal': 0.0}
    ours, clock = [30.0, 5.0, 10.0, 5.0], [1000.0]
    monkeypatch.setattr(psutil, 'cpu_times', lambda: SimpleNamespace(**busy))
    monkeypatch.setattr('scorecard.os.times', lambda: (*ours, clock[0]))
    monkeypatch.setattr('scorecard.time.monotonic', lambda: clock[0])
    others = Others()
    busy['user'] += 8.0
    busy['steal'] += 1.0
    ours[2] += 6.0
    clock[0] += 10.0
    assert others.share() == {'others_core_percent': 30.0, 'wall_s': 10}


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(['sleep', '600'])


def test_a_wait_ends_with_the_program():
    process = sleeper()
    watch('it', process, 0.01)
    process.send_signal(signal.SIGKILL)
    with pytest.raises(NotComing, match='it ended with exit code -9'):
        watch('it', process, 600.0)
    with pytest.raises(NotComing, match='it ended'):
        wait_serving('it', 9, process, 600.0)


def test_a_program_is_waited_for_until_it_serves():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server, process = HealthServer(port), sleeper()
    server.start()
    try:
        with pytest.raises(NotComing, match='not SERVING within 0 s: starting'):
            wait_serving('it', port, process, 0.0)
        server.set(True)
        wait_serving('it', port, process, 60.0)
    finally:
        server.stop()
        process.kill()
        process.wait(10.0)
