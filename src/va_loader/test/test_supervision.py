# SPDX-License-Identifier: Apache-2.0
"""Restarts and health in virtual time: who is restarted, when, how often, and who must not be."""

import asyncio

import pytest

from va_common.health import Health, HealthState
from va_loader.failures import FatalError, NodeFailure
from va_loader.health_watcher import Grace, HealthJudge, HealthWatcher
from va_loader.managed_node import ManagedNode
from va_loader.procfs import Activity, activity, is_starved, Sample
from va_loader.restart_policy import RestartPolicy

SERVING, NOT_SERVING = Health(HealthState.SERVING), Health(HealthState.NOT_SERVING)
SILENT = Health(HealthState.UNREACHABLE)
UNPLUGGED = Health(HealthState.NOT_SERVING, 'microphone is gone', 9.0, waits_for_device=True)


class FakeNode:
    """A running node that a test breaks."""

    def __init__(self, name, journal):
        self.name, self.journal = name, journal
        self.trouble = asyncio.Queue()
        self.failures = self.load_failures = 0
        self.unplugged = 0
        self.is_healthy = self.running = True
        self.tell = None

    def note(self, what):
        self.journal.append((round(asyncio.get_running_loop().time(), 3), self.name, what))

    def spawn(self):
        self.note('spawn')

    async def load(self, timeout_s):
        self.note('load')
        await asyncio.sleep(0.5)
        if self.load_failures:
            self.load_failures -= 1
            raise NodeFailure(self.name, 'configure', 'no model')

    async def start(self, timeout_s):
        self.note('start')
        await asyncio.sleep(0.5)
        if self.failures:
            self.failures -= 1
            raise NodeFailure(self.name, 'configure', 'refused')
        if self.unplugged:
            self.unplugged -= 1
            raise NodeFailure(self.name, 'configure', 'no input device', waits_for_device=True)
        self.note('up')

    async def lost(self, tell):
        self.tell = tell
        return await self.trouble.get()

    async def healthy(self):
        return self.is_healthy

    async def disarm(self):
        self.note('disarm')

    async def arm(self, timeout_s):
        self.note('arm')

    async def kill(self):
        self.note('kill')


class Rig:
    def __init__(self, limit=3):
        self.journal, self.lost, self.back, self.waits = [], [], [], []
        self.nodes = {name: FakeNode(name, self.journal)
                      for name in ('logger', 'tts', 'llm', 'stt', 'kwd')}
        self.policy = RestartPolicy(
            self.nodes, dict.fromkeys(self.nodes, 8.0), (1.0, 3.0, 5.0), limit,
            lambda name, reason: self.lost.append((name, reason)), self.back.append,
            lambda level, line: None, lambda name, reason: self.waits.append((name, reason)))
        self.policy.add(list(self.nodes))

    def breaks(self, name, reason='killed by SIGKILL'):
        self.nodes[name].trouble.put_nowait(reason)

    def when(self, name, what):
        return [at for at, who, done in self.journal if (who, done) == (name, what)]

    def who(self):
        return {name for _, name, _ in self.journal}


def scenario(run, script, limit=3):
    """Run a script against a rig; returns the rig."""
    async def live():
        rig = Rig(limit)
        watch = asyncio.ensure_future(rig.policy.watch())
        acts = asyncio.ensure_future(script(rig))
        try:
            await asyncio.wait((watch, acts), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
        finally:
            watch.cancel()
            acts.cancel()
            await asyncio.gather(watch, acts, return_exceptions=True)
            await rig.policy.stop()
        return rig
    return run(live())


def test_a_crashed_node_is_restarted_alone_after_a_second(run):
    async def script(rig):
        rig.breaks('llm')
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert rig.who() == {'llm'}
    assert rig.when('llm', 'start') == [1.0]
    reason = 'killed by SIGKILL; restarting it, attempt 1 of 3'
    assert (rig.lost, rig.back) == ([('llm', reason)], ['llm'])


def test_it_loads_its_models_during_the_pause(run):
    async def script(rig):
        rig.breaks('llm')
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert rig.when('llm', 'spawn') == rig.when('llm', 'load') == [0.0]


def test_a_load_that_fails_shortens_no_pause(run):
    async def script(rig):
        rig.nodes['tts'].load_failures = 2
        rig.breaks('tts')
        await asyncio.sleep(30)
    rig = scenario(run, script)
    assert rig.when('tts', 'load') == [0.0, 1.0, 4.0]
    assert rig.when('tts', 'start') == [9.0]
    assert rig.back == ['tts']


def test_the_pauses_grow(run):
    async def script(rig):
        rig.nodes['tts'].failures = 2
        rig.breaks('tts')
        await asyncio.sleep(30)
    rig = scenario(run, script)
    assert rig.when('tts', 'start') == [1.0, 4.5, 10.0]
    assert rig.back == ['tts']


def test_more_than_three_restarts_in_a_minute_are_fatal(run):
    async def script(rig):
        for _ in range(4):
            rig.breaks('stt', 'NOT_SERVING for 2.0 s')
            await asyncio.sleep(10)
    with pytest.raises(FatalError, match='stt needed more than 3 restarts in 60 s.*NOT_SERVING'):
        scenario(run, script)


def test_a_restart_that_keeps_failing_is_fatal(run):
    async def script(rig):
        rig.nodes['llm'].failures = 9
        rig.breaks('llm')
        await asyncio.sleep(60)
    with pytest.raises(FatalError, match='configure: refused'):
        scenario(run, script)


def test_after_a_healthy_minute_budget_and_pauses_begin_again(run):
    async def script(rig):
        for _ in range(8):
            rig.breaks('tts')
            await asyncio.sleep(65)
    rig = scenario(run, script)
    pauses = [round(start - kill, 1) for start, kill in zip(
        rig.when('tts', 'start'), rig.when('tts', 'kill'))]
    assert pauses == [1.0] * 8


def test_budgets_are_per_node(run):
    async def script(rig):
        for name in ('tts', 'llm', 'stt', 'kwd', 'logger'):
            for _ in range(2):
                rig.breaks(name)
                await asyncio.sleep(5)
    scenario(run, script)


def test_kwd_is_disarmed_while_stt_is_away_and_not_restarted(run):
    async def script(rig):
        rig.breaks('stt')
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert rig.when('kwd', 'disarm') == [0.0]
    assert rig.when('kwd', 'arm') == [1.5]
    assert not rig.when('kwd', 'kill')


def test_kwd_that_starves_before_stt_is_found_lost_is_not_blamed(run):
    async def script(rig):
        rig.nodes['stt'].is_healthy = False
        rig.breaks('kwd', 'NOT_SERVING for 2.0 s')
        await asyncio.sleep(1)
        rig.breaks('stt', 'frozen for 1.0 s')
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert not rig.when('kwd', 'kill')
    assert rig.when('kwd', 'arm')


def test_kwd_that_fails_while_stt_is_well_is_restarted(run):
    async def script(rig):
        rig.breaks('kwd', 'NOT_SERVING for 2.0 s')
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert rig.when('kwd', 'start') == [1.0]


def test_kwd_lost_together_with_stt_waits_for_it(run):
    async def script(rig):
        rig.nodes['stt'].failures = 1
        rig.breaks('kwd')
        rig.breaks('stt')
        await asyncio.sleep(20)
    rig = scenario(run, script)
    assert (rig.when('kwd', 'start') or rig.when('kwd', 'arm')) >= rig.when('stt', 'up')


def test_a_node_that_waits_for_its_device_is_left_alone_for_as_long_as_it_takes(run):
    async def script(rig):
        await asyncio.sleep(1)
        rig.nodes['stt'].tell('microphone is gone')
        rig.nodes['stt'].tell('microphone is gone')
        await asyncio.sleep(3600)
        rig.nodes['stt'].tell(None)
        await asyncio.sleep(10)
    rig = scenario(run, script)
    assert rig.waits == [('stt', 'microphone is gone')]
    assert (rig.lost, rig.back) == ([], ['stt'])
    assert not rig.journal


def test_kwd_is_not_to_blame_while_stt_waits_for_its_microphone(run):
    async def script(rig):
        await asyncio.sleep(1)
        rig.nodes['stt'].is_healthy = False
        rig.nodes['stt'].tell('microphone is gone')
        rig.breaks('kwd', 'no audio')
        await asyncio.sleep(600)
        rig.nodes['stt'].is_healthy = True
        rig.nodes['stt'].tell(None)
        await asyncio.sleep(60)
    rig = scenario(run, script)
    assert not rig.journal
    assert rig.back == ['stt']


@pytest.mark.parametrize(('kwd_heals', 'restarts'), [(True, 0), (False, 1)])
def test_kwd_is_not_killed_when_stt_and_then_it_mended_themselves(run, kwd_heals, restarts):
    async def script(rig):
        await asyncio.sleep(1)
        rig.nodes['stt'].is_healthy = rig.nodes['kwd'].is_healthy = False
        rig.breaks('kwd', 'no audio')
        await asyncio.sleep(4)
        rig.nodes['stt'].is_healthy = True
        await asyncio.sleep(2)
        rig.nodes['kwd'].is_healthy = kwd_heals
        await asyncio.sleep(60)
    rig = scenario(run, script)
    assert len(rig.when('kwd', 'kill')) == restarts


def test_kwd_that_is_killed_while_stt_waits_for_its_microphone_is_restarted_after(run):
    async def script(rig):
        await asyncio.sleep(1)
        rig.nodes['stt'].is_healthy = False
        rig.nodes['stt'].tell('microphone is gone')
        rig.nodes['kwd'].running = False
        rig.breaks('kwd')
        await asyncio.sleep(60)
        assert not rig.when('kwd', 'start')
        rig.nodes['stt'].tell(None)
        await asyncio.sleep(60)
    rig = scenario(run, script)
    assert len(rig.when('kwd', 'start')) == 1


def test_a_killed_node_that_comes_back_without_its_device_is_not_counted(run):
    async def script(rig):
        rig.nodes['stt'].unplugged = 50
        rig.breaks('stt')
        await asyncio.sleep(600)
    rig = scenario(run, script)
    assert rig.when('stt', 'kill') == [0.0]
    assert rig.waits == [('stt', 'no input device')]
    assert rig.back == ['stt']


# Health ----------------------------------------------------------------------------------------

@pytest.mark.parametrize(('state', 'doing', 'limit_s'), [
    (NOT_SERVING, Activity.ASLEEP, 2.0),
    (SILENT, Activity.ASLEEP, 2.0),
    (SERVING, Activity.FROZEN, 1.0),
    (SILENT, Activity.FROZEN, 1.0),
    (SILENT, Activity.BUSY, 2.0),
    (NOT_SERVING, Activity.BUSY, 2.0),
    (SILENT, Activity.STARVED, 30.0),
    (NOT_SERVING, Activity.STARVED, 30.0),
    (UNPLUGGED, Activity.FROZEN, 1.0),
])
def test_each_trouble_has_its_grace(state, doing, limit_s):
    judge = HealthJudge(Grace())
    assert judge.judge(100.0, state, doing) is None
    assert judge.judge(100.2, state, doing) is None
    assert judge.judge(100.0 + limit_s + 0.1, state, doing)


@pytest.mark.parametrize(('state', 'doing', 'limit_s'), [
    (SILENT, Activity.ASLEEP, 2.0), (SILENT, Activity.STARVED, 30.0)])
def test_it_is_not_lost_before(state, doing, limit_s):
    judge = HealthJudge(Grace())
    judge.judge(100.0, state, doing)
    assert judge.judge(100.0 + limit_s - 0.1, state, doing) is None


def test_what_a_node_has_known_for_long_is_confirmed_by_one_more_check():
    judge = HealthJudge(Grace())
    hung = Health(HealthState.NOT_SERVING, 'its executor has stood still', 60.0)
    assert judge.judge(100.0, hung, Activity.ASLEEP) is None
    assert 'stood still' in judge.judge(100.3, hung, Activity.ASLEEP)


def test_a_node_that_waits_for_its_device_is_never_lost():
    judge = HealthJudge(Grace())
    assert not any(judge.judge(at, UNPLUGGED, Activity.ASLEEP) for at in range(0, 1000, 2))


def test_starving_leaves_the_patience_for_what_comes_after():
    judge = HealthJudge(Grace())
    for at in range(20):
        assert judge.judge(float(at), SILENT, Activity.STARVED) is None
    hung = Health(HealthState.NOT_SERVING, 'its executor has stood still', 20.0)
    assert judge.judge(20.5, hung, Activity.ASLEEP) is None
    assert judge.judge(21.0, SERVING, Activity.ASLEEP) is None


def test_one_good_answer_forgives():
    judge = HealthJudge(Grace())
    judge.judge(0.0, SILENT, Activity.ASLEEP)
    judge.judge(1.5, SERVING, Activity.ASLEEP)
    judge.judge(2.0, SILENT, Activity.ASLEEP)
    assert judge.judge(3.5, SILENT, Activity.ASLEEP) is None


def test_a_late_checker_does_not_blame_the_node():
    judge = HealthJudge(Grace())
    judge.judge(0.0, SILENT, Activity.ASLEEP)
    judge.excuse(20.0)
    assert judge.judge(21.0, SILENT, Activity.ASLEEP) is None


@pytest.mark.parametrize(('after', 'expected'), [
    (Sample('S', 1.0, 0.0), Activity.ASLEEP), (Sample('S', 1.9, 0.0), Activity.BUSY),
    (Sample('S', 1.0, 0.9), Activity.STARVED), (Sample('S', 2.9, 0.9), Activity.BUSY),
    (Sample('R', 1.1, 0.0), Activity.ASLEEP), (Sample('T', 1.0, 0.0), Activity.FROZEN),
    (Sample('Z', 1.0, 0.0), Activity.GONE), (Sample('', 0.0, 0.0), Activity.GONE),
])
def test_what_a_process_did(after, expected):
    assert activity(Sample('S', 1.0, 0.0), after, span_s=2.0) is expected


@pytest.mark.parametrize(('computed_s', 'queued_s', 'starved'), [
    (8.0, 0.1, False), (8.0, 8.0, False), (2.0, 6.0, True), (0.0, 0.5, False)])
def test_a_process_that_others_keep_from_the_cores(computed_s, queued_s, starved):
    after = Sample('S', 1.0 + computed_s, 1.0 + queued_s)
    assert is_starved(Sample('S', 1.0, 1.0), after) is starved


class Patient:
    """A process as seen from outside."""

    def __init__(self):
        self.state, self.letter, self.worked_s = SERVING, 'S', 0.0
        self.works = self.queues = 0.0

    async def check(self):
        if self.state is SILENT:
            await asyncio.sleep(1.0)
        return self.state

    def look(self):
        now_s = asyncio.get_running_loop().time()
        return Sample(self.letter, self.works * now_s, self.queues * now_s)

    def watcher(self):
        return HealthWatcher(self.check, self.look, lambda: self.letter == 'T', interval_s=2.0)


def found_after(run, change):
    """Seconds from a change, at an awkward moment, until the node is found lost."""
    async def live():
        patient = Patient()
        lost = asyncio.ensure_future(patient.watcher().lost())
        await asyncio.sleep(20.1)
        assert not lost.done()
        change(patient)
        at = asyncio.get_running_loop().time()
        reason = await lost
        return asyncio.get_running_loop().time() - at, reason
    return run(live())


@pytest.mark.parametrize(('changes', 'word'), [
    ({'letter': 'T', 'state': SILENT}, 'frozen'),
    ({'state': NOT_SERVING}, 'NOT_SERVING'),
    ({'state': SILENT}, 'no answer'),
])
def test_a_frozen_or_wedged_node_is_found_within_5_s(run, changes, word):
    seconds, reason = found_after(run, lambda patient: vars(patient).update(changes))
    assert seconds <= 5.0
    assert word in reason


def test_a_node_that_holds_its_own_interpreter_is_found_within_5_s(run):
    seconds, _ = found_after(run, lambda patient: vars(patient).update(state=SILENT, works=1.0))
    assert seconds <= 5.0


def test_a_device_it_waits_for_is_told_and_that_it_is_there(run):
    async def live():
        patient, told = Patient(), []
        lost = asyncio.ensure_future(patient.watcher().lost(told.append))
        for state in (SERVING, UNPLUGGED, SERVING):
            patient.state = state
            await asyncio.sleep(10.0)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        return told
    assert run(live()) == ['microphone is gone', None]


def test_a_starved_node_is_left_alone_for_long(run):
    seconds, _ = found_after(
        run, lambda patient: vars(patient).update(state=SILENT, works=0.2, queues=0.8))
    assert 30.0 <= seconds < 40.0


# A managed node --------------------------------------------------------------------------------

class FakeProcess:
    def __init__(self, last_error=''):
        self.pid, self.last_error, self.sent = 4711, last_error, []
        self.queued_share, self.state, self.sleeps_from_s = 0.0, 'S', 1e9
        self.end = asyncio.get_running_loop().create_future()

    def look(self):
        now_s = min(asyncio.get_running_loop().time(), self.sleeps_from_s)
        return Sample(self.state, 0.1 * now_s, self.queued_share * now_s)

    @property
    def alive(self):
        return not self.end.done()

    @property
    def ended_by(self):
        return self.end.result() if self.end.done() else ''

    async def exited(self):
        return await asyncio.shield(self.end)

    def interrupt(self):
        self.sent.append('SIGINT')
        self.end.set_result('ended with exit code 0')

    def terminate(self):
        self.sent.append('SIGTERM')
        self.end.set_result('killed by SIGTERM')

    async def stop(self, timeout_s):
        self.sent.append(f'stop {timeout_s:g}')
        if self.alive:
            self.end.set_result('killed by SIGKILL')


class FakeLifecycle:
    """Takes a second for each step; ``hang`` names the one that never ends."""

    def __init__(self, hang='', refuse=''):
        self.hang, self.refuse, self.steps = hang, refuse, []

    def __getattr__(self, step):
        async def do():
            self.steps.append(step)
            await asyncio.sleep(1e9 if step == self.hang else 1.0)
            if step == self.refuse:
                raise NodeFailure('tts', step, 'refused, it is unconfigured')
        return do


def managed(lifecycle, last_error='', log=lambda level, line: None):
    patient = Patient()
    return ManagedNode('tts', lambda: FakeProcess(last_error), lifecycle,
                       lambda process: patient.watcher(), log)


def test_a_node_comes_up_step_by_step(run):
    lifecycle = FakeLifecycle()
    run(managed_start(lifecycle))
    assert lifecycle.steps == ['available', 'configure', 'activate']


def test_a_node_that_was_loaded_goes_on_from_there(run):
    lifecycle = FakeLifecycle()

    async def live():
        node = managed(lifecycle)
        await node.load(8.0)
        assert lifecycle.steps == ['available', 'configure']
        process = node._process
        await node.start(8.0)
        assert node._process is process
    run(live())
    assert lifecycle.steps[-1] == 'activate'


@pytest.mark.parametrize('step', ['available', 'configure'])
def test_a_load_that_hangs_fails(run, step):
    async def live():
        await managed(FakeLifecycle(hang=step)).load(8.0)
    with pytest.raises(NodeFailure, match='not done after'):
        run(live())


async def managed_start(lifecycle, last_error='', timeout_s=8.0):
    await managed(lifecycle, last_error).start(timeout_s)


@pytest.mark.parametrize(('step', 'text'), [
    ('available', 'tts: process: not done after 10 s'),
    ('configure', 'tts: configure: not done after 8 s'),
    ('activate', 'tts: activate: not done after 8 s'),
])
def test_a_step_that_hangs_fails_with_its_name(run, step, text):
    with pytest.raises(NodeFailure, match=text):
        run(managed_start(FakeLifecycle(hang=step)))


def test_a_node_that_others_keep_from_the_cores_is_given_more_time(run):
    async def live():
        node = managed(FakeLifecycle(hang='configure'))
        node.spawn()
        node._process.queued_share = 0.9
        at = asyncio.get_running_loop().time()
        with pytest.raises(NodeFailure, match='not done after 24 s'):
            await node.start(8.0)
        return asyncio.get_running_loop().time() - at
    assert run(live()) == pytest.approx(25.0)


def test_a_node_that_was_kept_from_the_cores_but_sleeps_now_is_not(run):
    async def live():
        node = managed(FakeLifecycle(hang='configure'))
        node.spawn()
        node._process.queued_share = 0.9
        node._process.sleeps_from_s = asyncio.get_running_loop().time() + 6.0
        with pytest.raises(NodeFailure, match='not done after 8 s'):
            await node.start(8.0)
    run(live())


def test_a_refusal_carries_the_last_error_of_the_process(run):
    with pytest.raises(NodeFailure, match='refused.*; model kokoro is missing'):
        run(managed_start(FakeLifecycle(refuse='configure'), 'model kokoro is missing'))


def test_a_process_that_dies_on_the_way_is_noticed_at_once(run):
    async def live():
        node = managed(FakeLifecycle(hang='configure'))
        start = asyncio.ensure_future(node.start(8.0))
        await asyncio.sleep(3.0)
        node._process.end.set_result('killed by SIGSEGV')
        await start
    with pytest.raises(NodeFailure, match='tts: configure: killed by SIGSEGV'):
        run(live())


def test_a_process_that_is_frozen_on_the_way_is_not_waited_for(run):
    async def live():
        node = managed(FakeLifecycle(hang='configure'))
        start = asyncio.ensure_future(node.start(60.0))
        await asyncio.sleep(3.0)
        node._process.state = 'T'
        at = asyncio.get_running_loop().time()
        with pytest.raises(NodeFailure, match='tts: configure: frozen for 1 s'):
            await start
        return asyncio.get_running_loop().time() - at
    assert run(live()) <= 2.0


def test_a_process_that_dies_before_its_phase_is_told_of_and_replaced(run):
    lines = []

    async def live():
        node = managed(FakeLifecycle(), log=lambda level, line: lines.append((level, line)))
        node.spawn()
        first = node._process
        first.end.set_result('killed by SIGKILL')
        await node.start(8.0)
        assert node._process is not first
        await node.kill()
        node.spawn()
    run(live())
    assert [level for level, _ in lines] == ['error']
    assert 'tts is lost: killed by SIGKILL before its phase began' in lines[0][1]


def test_a_node_that_hangs_on_the_way_down_holds_nothing_up(run):
    async def live():
        node = managed(FakeLifecycle(hang='go_down'))
        await node.start(8.0)
        at = asyncio.get_running_loop().time()
        await node.quiesce()
        await node.reap()
        return asyncio.get_running_loop().time() - at, node._process.sent
    seconds, sent = run(live())
    assert seconds <= 1.0
    assert sent[0] == 'SIGINT'


def test_a_node_that_still_imports_is_ended_without_a_traceback(run):
    async def live():
        node = managed(FakeLifecycle())
        node.spawn()
        await node.quiesce()
        return node._process.sent
    assert run(live()) == ['SIGTERM']
