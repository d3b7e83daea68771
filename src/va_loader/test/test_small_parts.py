# SPDX-License-Identifier: Apache-2.0
"""Options, parameters, bootstrap, event bus, state board, messages, warm-up, control."""

import asyncio
import json
import threading

import pytest

from va_common.config_loader import defaults
from va_common.errors import AssistantError, ErrorCode
from va_common.ids import TurnKey
from va_common.log_places import log_folder
from va_common.settings import SETTINGS
from va_common.testing import FakeClock, wait_for
from va_loader import bootstrap
from va_loader.control import Control, Request
from va_loader.devices import device_problems
from va_loader.dialog_commands import CancelTimer, LogLine, SetTimer
from va_loader.dialog_events import Opened, TimerFired
from va_loader.doctor import Finding, foreign_addresses, table
from va_loader.event_bus import EventBus, Timers
from va_loader.failures import FatalError
from va_loader.options import Options, parse
from va_loader.params import node_parameters, parameter_file_text, prepared_phrases
from va_loader.places import namespace_of, run_folder
from va_loader.state_board import StateBoard, STATES
from va_loader.warmup import warm_up
from va_loader.watchdog import LIMIT_TICKS, Watchdog

# Options and parameters ------------------------------------------------------------------------


def test_options_survive_their_way_to_the_loader(tmp_path):
    params = tmp_path / 'p.yaml'
    params.touch()
    options = parse('main', ['--config', '/c.ini', '--profile', 'cpu', '--namespace', 'robot1',
                             '--log-level', 'debug', '--params-file', str(params)])
    assert options.namespace == '/robot1'
    assert parse('loader', options.arguments()) == options


def test_what_a_launch_file_leaves_empty_is_as_not_given():
    given = ['--config=', '--profile=', '--namespace=', '--log-level=', '--params-file=']
    assert parse('main', given) == Options()


def test_ros_arguments_are_not_ours():
    assert parse('main', ['--profile', 'cpu', '--ros-args', '-r', '__node:=x']).profile == 'cpu'


@pytest.mark.parametrize('text', ['robot 1', '1robot', 'a//b', '../x'])
def test_a_wrong_namespace_is_refused(text):
    with pytest.raises(AssistantError, match='expected letters'):
        namespace_of(text)


@pytest.mark.parametrize(('text', 'expected'), [
    ('', ''), ('/', ''), ('robot1', '/robot1'), ('/a/b/', '/a/b')])
def test_namespaces(text, expected):
    assert namespace_of(text) == expected


def test_the_command_line_overrides_the_file(tmp_path):
    (tmp_path / 'a.ini').write_text('[system]\nprofile=auto\n')
    config = Options(config=tmp_path / 'a.ini', profile='cpu', log_level='debug').read()
    assert (config.get('system.profile'), config.get('system.log_level')) == ('cpu', 'debug')


def test_every_setting_reaches_its_node():
    config = defaults()
    for section in ('loader', 'kwd', 'stt', 'llm', 'tts', 'logger'):
        values = node_parameters(config, section, '')
        own = {s.key for s in SETTINGS if s.section == section}
        assert own <= values.keys()
        assert {'system.port_offset', 'audio.input_device'} <= values.keys()


def test_tts_prepares_greeting_acknowledgements_and_apologies():
    assert prepared_phrases(defaults())[:2] == ('Hi, Master!', 'Yes?')
    assert len(prepared_phrases(defaults())) == 7


def test_a_parameter_file_keeps_types_and_leaves_empty_lists_out():
    text = parameter_file_text({'a': 1.0, 'b': True, 'c': (1, 2), 'd': (), 'e': 'on'})
    assert '"a": 1.0' in text
    values = json.loads(text)['/**']['ros__parameters']
    assert values == {'a': 1.0, 'b': True, 'c': [1, 2], 'e': 'on'}


def test_log_folder_is_per_namespace():
    assert str(log_folder('', '/r/1', {'XDG_STATE_HOME': '/s'})) == '/s/va/r_1/log'
    assert str(log_folder('/logs', '/r', {})) == '/logs'


def test_run_folder_tells_domains_and_namespaces_apart(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    names = {run_folder(namespace, {'ROS_DOMAIN_ID': domain}).name
             for namespace in ('', '/robot1') for domain in ('1', '2')}
    assert len(names) == 4


# Bootstrap -------------------------------------------------------------------------------------

@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """A configuration that passes, with folders of its own."""
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    path = tmp_path / 'assistant.ini'
    path.write_text(f'[system]\nprofile=cpu\nport_offset=520\n[logger]\nlog_dir={tmp_path}/log\n')
    return path


def problems_of(argv):
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap.prepare(argv)
    return caught.value.exit_code, caught.value.problems


def test_a_good_configuration_passes_and_takes_its_place(quiet):
    prepared = bootstrap.prepare(['--config', str(quiet)])
    code, problems = problems_of(['--config', str(quiet)])
    prepared.lock.release()
    assert code == 3
    assert 'runs already' in problems[0]


def test_every_mistake_of_a_configuration_is_named_with_its_line(quiet):
    quiet.write_text('[loader]\nstartup_mode=fast\ngreetin=Hi\nrestart_limit=many\n')
    code, problems = problems_of(['--config', str(quiet)])
    assert code == 2
    assert [problem.split(': ')[0].rsplit(':', 1)[1] for problem in problems] == ['2', '3', '4']
    assert 'did you mean greeting?' in problems[1]


def test_a_missing_configuration_is_named(tmp_path):
    code, problems = problems_of(['--config', str(tmp_path / 'no.ini')])
    assert code == 2
    assert 'no.ini' in problems[0]


def test_missing_models_are_named_with_the_command_that_fetches_them(quiet, tmp_path, monkeypatch):
    monkeypatch.setenv('VA_MODELS_DIR', str(tmp_path / 'none'))
    code, problems = problems_of(['--config', str(quiet)])
    assert code == 1
    assert all('./va models' in problem for problem in problems)


def test_a_log_folder_that_cannot_be_made_is_named(quiet):
    quiet.write_text('[system]\nprofile=cpu\n[logger]\nlog_dir=/proc/no/log\n')
    code, problems = problems_of(['--config', str(quiet)])
    assert code == 1
    assert '/proc/no/log' in problems[0]


# Event bus -------------------------------------------------------------------------------------

class Bus:
    def __init__(self, handle, **options):
        self.executed, self.errors = [], []
        self.bus = EventBus(handle, self.executed.append, self.errors.append, **options)


def test_events_become_commands_in_order():
    rig = Bus(lambda event, now: [LogLine('info', str(event)), LogLine('info', str(now))],
              clock=FakeClock(7.0))
    rig.bus.start()
    rig.bus.post(Opened())
    wait_for(lambda: len(rig.executed) == 2, 5.0, 'the commands')
    rig.bus.stop()
    assert rig.executed[1].text == '7.0'


def test_a_handler_that_raises_does_not_end_the_bus():
    calls = []

    def handle(event, now):
        calls.append(event)
        raise RuntimeError('broken')
    rig = Bus(handle)
    rig.bus.start()
    rig.bus.post(Opened())
    rig.bus.post(Opened())
    wait_for(lambda: len(calls) == 2, 5.0, 'both events')
    rig.bus.stop()
    assert 'Opened could not be handled: RuntimeError: broken' in rig.errors[0]


def test_a_full_queue_drops_and_says_so():
    gate, entered = threading.Event(), threading.Event()

    def handle(event, now):
        entered.set()
        gate.wait(5.0)
        return []
    rig = Bus(handle, maxsize=2)
    rig.bus.start()
    rig.bus.post(Opened())
    entered.wait(5.0)
    for _ in range(3):
        rig.bus.post(Opened())
    gate.set()
    rig.bus.stop()
    assert rig.bus.dropped == 1
    assert 'queue is full (2)' in rig.errors[0]


def test_timers_fire_and_come_back_as_events():
    clock = FakeClock(10.0)

    def handle(event, now):
        return [SetTimer('a', 10.0, 1)] if isinstance(event, Opened) else [LogLine('info', 'rang')]
    rig = Bus(handle, clock=clock)
    rig.bus.start()
    rig.bus.post(Opened())
    wait_for(lambda: rig.executed, 5.0, 'the timer')
    rig.bus.stop()


def test_timers_replace_cancel_and_sort():
    timers = Timers()
    timers.set(SetTimer('a', 5.0, 1))
    timers.set(SetTimer('b', 3.0, 2))
    timers.set(SetTimer('a', 4.0, 3))
    timers.set(SetTimer('c', 1.0, 4))
    timers.cancel('c')
    timers.cancel('nobody')
    assert timers.next_at() == 3.0
    assert timers.take_due(4.0) == [TimerFired('b', 2), TimerFired('a', 3)]
    assert timers.next_at() is None
    assert CancelTimer('a').name == 'a'


# State, warm-up, control -----------------------------------------------------------------------

def test_the_dialogs_view_counts_only_while_running():
    seen = []
    board = StateBoard('cpu', seen.append)
    board.show_dialog('listening', TurnKey('d', 1))
    board.show_phase('booting', 'phase1', vram='not applicable')
    board.run()
    board.show_dialog('listening', TurnKey('d', 1))
    board.show_phase('stopping', 'down')
    assert [(s.name, s.phase, s.turn) for s in seen] == [
        ('booting', 'phase1', 0), ('idle', 'running', 0), ('listening', 'running', 1),
        ('stopping', 'down', 0)]
    assert seen[-1].vram == 'not applicable'
    assert all(s.name in STATES and s.profile == 'cpu' for s in seen)


def test_the_greeting_is_spoken_again_after_each_pause(run):
    spoken, shown = [], []

    async def speak(text):
        spoken.append((asyncio.get_running_loop().time(), text))
        if len(spoken) < 3:
            raise AssistantError(ErrorCode.DEVICE_FAILED, 'no speaker')
    run(warm_up('Hi', speak, (1.0, 3.0, 5.0), lambda *args: shown.append(args)))
    assert [round(at) for at, _ in spoken] == [0, 1, 4]
    assert shown == [(1, ''), (2, 'no speaker'), (3, 'no speaker')]


def test_an_assistant_that_cannot_be_heard_does_not_start(run):
    async def speak(text):
        await asyncio.Event().wait()
    with pytest.raises(FatalError, match='not spoken after 15 s'):
        run(warm_up('Hi', speak, (1.0,), lambda *args: None))


def test_no_greeting_is_possible(run):
    run(warm_up('', None, (), lambda *args: None))


class FakeSession:
    def __init__(self, journal, fatal=False):
        self.journal, self.fatal = journal, fatal

    async def run(self):
        self.journal.append('run')
        await asyncio.sleep(1.0)
        if self.fatal:
            raise FatalError('phase2 failed')
        await asyncio.Event().wait()

    async def take_down(self):
        self.journal.append('down')


def lived(run, script, fatal=False):
    async def live():
        journal = []
        control = Control(lambda: FakeSession(journal, fatal), journal.append,
                          lambda: journal.append('stopped'))
        acts = asyncio.ensure_future(script(control))
        code = await control.run()
        await acts
        return code, journal
    return run(live())


def test_shutdown_takes_everything_down(run):
    async def script(control):
        await asyncio.sleep(0.5)
        control.request(Request.SHUTDOWN)
    assert lived(run, script) == (0, ['run', 'down'])


def test_a_fatal_failure_is_told_then_everything_is_taken_down(run):
    async def script(control):
        pass
    assert lived(run, script, fatal=True) == (1, ['run', 'phase2 failed', 'down'])


def test_stop_and_start_again(run):
    async def script(control):
        await asyncio.sleep(2.0)
        with pytest.raises(AssistantError, match='up already'):
            control.request(Request.START)
        control.request(Request.STOP)
        await asyncio.sleep(1.0)
        with pytest.raises(AssistantError, match='down already'):
            control.request(Request.STOP)
        control.request(Request.START)
        await asyncio.sleep(1.0)
        control.request(Request.SHUTDOWN)
    assert lived(run, script) == (0, ['run', 'down', 'stopped', 'run', 'down'])


def test_a_part_that_stands_still_is_found_and_a_frozen_process_is_not_blamed():
    counts = {'loop': 0, 'bus': 0}
    dog = Watchdog({name: (lambda name=name: counts[name]) for name in counts}, print)
    found = []
    for _ in range(LIMIT_TICKS - 1):
        counts['loop'] += 1
        found.append(dog.tick())
    assert found == [None] * (LIMIT_TICKS - 1)
    counts['loop'] += 1
    assert dog.tick() == 'bus'
    counts['bus'] += 1
    assert dog.tick() is None


# Doctor and devices ----------------------------------------------------------------------------

def test_addresses_that_other_hosts_reach_are_found():
    assert foreign_addresses(['127.0.0.1', '239.255.0.1', '0.0.0.0', '::1', '192.168.0.2']) == [
        '0.0.0.0', '192.168.0.2']


def test_the_table_shows_every_problem():
    lines = table([Finding('python', (), '3.11'), Finding('models', ('a', 'b'))]).splitlines()
    assert lines == ['ok    python  3.11', 'FAIL  models  a', '              b']


def test_missing_devices_are_named(monkeypatch):
    def find(name, kind):
        raise AssistantError(ErrorCode.DEVICE_FAILED, f'no {kind} device on this machine')
    monkeypatch.setattr('va_loader.devices.find_device', find)
    assert device_problems(defaults()) == [
        'no microphone: no input device on this machine',
        'no speaker: no output device on this machine']
