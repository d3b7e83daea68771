# SPDX-License-Identifier: Apache-2.0
"""Phases in virtual time: order, deadlines, rollback, retries, fatal, staggering, the way down."""

import asyncio
from itertools import pairwise

import pytest

from va_loader.failures import FatalError, NodeFailure
from va_loader.node_specs import plan
from va_loader.phase_controller import PhaseController
from va_loader.vram_guard import VramGuard

NO_GPU = VramGuard(None, 8000, 8000)


class FakeNode:
    """A node that takes its time, and fails as often as it is told to."""

    def __init__(self, name, journal, takes_s=1.0, failures=0, hangs=False):
        self.name, self.journal, self.takes_s = name, journal, takes_s
        self.failures, self.hangs = failures, hangs
        self.spawned = False

    def note(self, what):
        loop = asyncio.get_running_loop()
        self.journal.append((round(loop.time(), 3), self.name, what))

    def spawn(self):
        if not self.spawned:
            self.spawned = True
            self.note('spawn')

    async def start(self, timeout_s):
        self.spawn()
        self.note('start')
        if self.hangs:
            await asyncio.sleep(timeout_s)
            raise NodeFailure(self.name, 'configure', f'not done after {timeout_s:g} s')
        await asyncio.sleep(self.takes_s)
        if self.failures > 0:
            self.failures -= 1
            raise NodeFailure(self.name, 'configure', 'refused')
        self.note('up')

    async def quiesce(self):
        self.note('quiesce')
        await asyncio.sleep(0.1)

    async def reap(self):
        self.spawned = False
        self.note('reap')


class Rig:
    def __init__(self, mode='phased_parallel', guard=NO_GPU, **nodes):
        self.journal, self.shown, self.lines, self.up = [], [], [], []
        names = ('logger', 'tts', 'llm', 'stt', 'kwd')
        self.nodes = {name: FakeNode(name, self.journal, **nodes.get(name, {})) for name in names}
        self.controller = PhaseController(
            self.nodes, plan(mode, 8.0, 30.0), (1.0, 3.0, 5.0), guard, self.shown.append,
            lambda level, line: self.lines.append((level, line)), self.up.extend)

    def did(self, what):
        return [name for _, name, done in self.journal if done == what]

    def when(self, name, what):
        return [at for at, who, done in self.journal if (who, done) == (name, what)]


def test_the_phases_come_up_in_order_tts_and_llm_together(run):
    rig = Rig()
    run(rig.controller.bring_up())
    assert rig.did('up') == ['logger', 'tts', 'llm', 'stt', 'kwd']
    assert rig.when('tts', 'start') == rig.when('llm', 'start') == [1.0]
    assert rig.when('stt', 'start') == [2.0]
    assert rig.when('kwd', 'start') == [3.0]
    assert rig.up == ['logger', 'tts', 'llm', 'stt', 'kwd']


def test_sequential_is_one_after_the_other(run):
    rig = Rig('sequential')
    run(rig.controller.bring_up())
    assert [rig.when(name, 'start')[0] for name in rig.nodes] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match='expected phased_parallel or sequential'):
        plan('parallel', 8.0, 30.0)


def test_imports_of_the_next_phase_begin_early(run):
    rig = Rig()
    run(rig.controller.bring_up())
    assert rig.when('tts', 'spawn') == [0.0]
    assert rig.when('stt', 'spawn') == [1.0]


def test_a_failed_phase_is_rolled_back_and_tried_again_after_one_and_three_seconds(run):
    rig = Rig(llm={'failures': 2})
    run(rig.controller.bring_up())
    assert rig.when('llm', 'start') == [1.0, 3.1, 7.2]
    assert rig.when('tts', 'reap') == rig.when('llm', 'reap') == [2.1, 4.2]
    assert not rig.when('logger', 'reap')
    assert rig.did('up')[-1] == 'kwd'
    attempts = [(s.phase, s.attempt) for s in rig.shown]
    assert ('phase1', 3) in attempts
    assert 'llm: configure: refused' in next(s.reason for s in rig.shown if s.attempt == 2)


def test_phase_2_rolls_back_stt_alone(run):
    rig = Rig(stt={'failures': 1})
    run(rig.controller.bring_up())
    assert set(rig.did('reap')) == {'stt'}


def test_phase_3_rolls_back_kwd_alone(run):
    rig = Rig(kwd={'failures': 1})
    run(rig.controller.bring_up())
    assert set(rig.did('reap')) == {'kwd'}


@pytest.mark.parametrize('name', ['logger', 'tts', 'llm', 'stt', 'kwd'])
def test_four_failures_are_fatal_and_kwd_is_never_armed(run, name):
    rig = Rig(**{name: {'failures': 9}})
    with pytest.raises(FatalError, match=f'4 times.*{name}: configure: refused'):
        run(rig.controller.bring_up())
    assert 'kwd' not in rig.did('up')
    assert len(rig.when(name, 'start')) == 4


def test_a_hang_is_a_failure(run):
    rig = Rig(tts={'hangs': True})
    with pytest.raises(FatalError, match='not done after 8 s'):
        run(rig.controller.bring_up())
    starts = rig.when('tts', 'start')
    assert [round(b - a, 1) for a, b in pairwise(starts)] == [9.1, 11.1, 13.1]


def test_the_sibling_of_a_failed_node_is_not_waited_for(run):
    rig = Rig(tts={'failures': 1}, llm={'takes_s': 7.0})
    run(rig.controller.bring_up())
    assert rig.when('llm', 'quiesce')[0] == 2.0


def test_everything_goes_down_in_reverse_order_the_logger_last(run):
    rig = Rig()

    async def up_and_down():
        await rig.controller.bring_up()
        await rig.controller.take_down()

    run(up_and_down())
    assert rig.did('quiesce') in (['kwd', 'stt', 'tts', 'llm', 'logger'],
                                  ['kwd', 'stt', 'llm', 'tts', 'logger'])
    assert rig.did('reap')[-1] == 'logger'
    assert rig.when('logger', 'quiesce')[0] >= max(
        at for at, name, what in rig.journal if what == 'reap' and name != 'logger')


def test_a_stop_in_the_middle_of_a_phase_is_possible_at_once(run):
    rig = Rig(llm={'hangs': True})

    async def stop_early():
        boot = asyncio.ensure_future(rig.controller.bring_up())
        await asyncio.sleep(1.5)
        boot.cancel()
        await asyncio.gather(boot, return_exceptions=True)
        started = asyncio.get_running_loop().time()
        await rig.controller.take_down()
        return asyncio.get_running_loop().time() - started

    assert run(stop_early()) < 1.0


# The VRAM guardrail ----------------------------------------------------------------------------

def test_without_a_gpu_the_guardrail_says_so_once(run):
    rig = Rig()
    run(rig.controller.bring_up())
    said = [line for _, line in rig.lines if 'not applicable' in line]
    assert len(said) == 1
    assert 'not applicable' in rig.shown[-1].vram


def test_with_little_vram_phase_1_is_staggered_tts_first(run):
    rig = Rig(guard=VramGuard(lambda: 4000, 8000, 8000))
    run(rig.controller.bring_up())
    assert rig.when('llm', 'start') == rig.when('tts', 'up') == [2.0]
    assert any('staggered' in line for _, line in rig.lines)


def test_with_enough_vram_it_is_parallel_and_checked_before_each_phase(run):
    asked = []
    guard = VramGuard(lambda: asked.append(1) or 20_000, 8000, 8000)
    rig = Rig(guard=guard)
    run(rig.controller.bring_up())
    assert rig.when('llm', 'start') == rig.when('tts', 'start')
    assert sum('VRAM before' in line for _, line in rig.lines) == 3


def test_a_failure_with_little_vram_says_so(run):
    rig = Rig(guard=VramGuard(lambda: 4000, 8000, 8000), stt={'failures': 9})
    with pytest.raises(FatalError, match='VRAM low: 4000 MiB free, 8000 MiB wanted'):
        run(rig.controller.bring_up())


def test_a_gpu_that_cannot_be_read_counts_as_too_little():
    def broken():
        raise RuntimeError('driver gone')
    verdict = VramGuard(broken, 8000, 8000).check()
    assert not verdict.enough
    assert 'driver gone' in verdict.text
