# SPDX-License-Identifier: Apache-2.0
"""The cases of ``./va faults``."""
from __future__ import annotations

from collections.abc import Callable
import signal

from virtual_room.pulse import MICROPHONE, SPEAKER

from faults import (
    boot_cases,
    disk_cases,
    load_cases,
    message_cases,
    ollama_cases,
    process_cases,
    signal_cases,
    sound_cases,
    start_cases,
)
from faults.evidence import Case

KILL, FREEZE, ABORT = signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT
SIGNALS = {KILL: ('kill', 'kill -9 of'), FREEZE: ('freeze', 'SIGSTOP of'),
           ABORT: ('abort', 'SIGABRT in')}
HEARS = 'restarted alone; hears again'
DIALOG = 'an apology or the answer in the same dialog, its follow-up window; hears again'
GONE = 'everything ends with it, nothing is left; the next start works'

STRUCK: tuple[tuple[signal.Signals, str, tuple[str, ...]], ...] = (
    (KILL, 'tts', ('idle', 'listening', 'thinking', 'speaking')),
    (KILL, 'llm', ('idle', 'thinking', 'speaking')),
    (KILL, 'stt', ('idle', 'listening', 'thinking', 'speaking')),
    (KILL, 'kwd', ('idle', 'listening', 'speaking')),
    (KILL, 'logger', ('idle', 'listening', 'thinking', 'speaking')),
    (KILL, 'loader', ('idle', 'listening', 'thinking', 'speaking')),
    (FREEZE, 'tts', ('idle', 'speaking')),
    (FREEZE, 'llm', ('idle', 'thinking')),
    (FREEZE, 'stt', ('idle', 'listening')),
    (FREEZE, 'kwd', ('idle', 'speaking')),
    (FREEZE, 'logger', ('idle', 'speaking')),
    (FREEZE, 'loader', ('idle', 'speaking')),
    (KILL, 'forker', ('idle', 'speaking')),
    (FREEZE, 'forker', ('idle',)),
    (ABORT, 'tts', ('speaking',)),
    (ABORT, 'llm', ('thinking',)),
    (ABORT, 'stt', ('listening',)),
    (ABORT, 'kwd', ('idle',)),
    (ABORT, 'logger', ('idle',)),
    (ABORT, 'loader', ('idle',)),
)
WHOLE = ('loader', 'forker')
"""With them all nodes are started anew."""
IN_BOOT = ((KILL, ('tts', 'llm', 'stt', 'kwd', 'logger', 'loader')),
           (FREEZE, ('stt', 'llm', 'loader')), (ABORT, ('tts',)))
PHASES = {'tts': 'phase1', 'llm': 'phase1', 'stt': 'phase2'}
"""When these are broken; the others as soon as they run, kwd long before its phase."""
QUICK = {'kill_stt_listening', 'kill_llm_thinking', 'kill_logger_speaking', 'kill_kwd_idle',
         'freeze_tts_idle', 'kill_loader_idle', 'garbage_on_ports', 'messages_oversized',
         'second_instance', 'wrong_value', 'sigint_idle'}


def cases(overload_s: float = 600.0) -> list[Case]:
    """All cases, in an order in which few of them need an assistant of their own."""
    rows = [*_struck(), *_main(), *_boot(), *_signals(), *_start(), *_sound(), *_ollama(),
            *_disk(), *_messages(), *_load(overload_s)]
    quick = [Case(**(vars(row) | {'quick': row.name in QUICK})) for row in rows]
    known = {row.name for row in rows}
    assert known >= QUICK, f'no such cases: {QUICK - known}'
    assert len(known) == len(rows), 'two cases have one name'
    return quick


def _struck() -> list[Case]:
    rows = []
    for number, victim, whens in STRUCK:
        short, long = SIGNALS[number]
        for when in whens:
            rows.append(Case(
                f'{short}_{victim}_{when}', f'{long} {victim}', when,
                HEARS if when == 'idle' or victim in WHOLE else DIALOG,
                process_cases.struck(victim, number, when),
                restarts=('loader' if victim in WHOLE else victim,)))
    return rows


def _main() -> list[Case]:
    kill, abort = process_cases.killed_main(KILL, 'idle'), process_cases.killed_main(ABORT, 'idle')
    speaking = process_cases.killed_main(KILL, 'speaking')
    many = 'gives up after three restarts in a minute: FATAL with the reason, exit code 1'
    return [
        Case('freeze_main_idle', 'SIGSTOP of main', 'idle', 'goes on hearing',
             process_cases.frozen_main),
        Case('kill_main_idle', 'kill -9 of main', 'idle', GONE, kill, recovers=False),
        Case('kill_main_speaking', 'kill -9 of main', 'speaking', GONE, speaking, recovers=False),
        Case('abort_main_idle', 'SIGABRT in main', 'idle', GONE, abort, recovers=False),
        Case('kwd_dies_too_often', 'kill -9 of kwd, four times', 'idle', many,
             process_cases.too_often('kwd'), restarts=('kwd', 'kwd'), recovers=False, ends=True),
        Case('loader_dies_too_often', 'kill -9 of loader, four times', 'idle', many,
             process_cases.too_often('loader'), restarts=('loader', 'loader'), recovers=False,
             ends=True),
    ]


def _boot() -> list[Case]:
    rows = [Case(f'{SIGNALS[number][0]}_{victim}_boot', f'{SIGNALS[number][1]} {victim}', 'boot',
                 'the phase is retried; gets ready and hears',
                 boot_cases.struck_in_boot(victim, number, PHASES.get(victim, '')),
                 config='own', leaves=True)
            for number, victims in IN_BOOT for victim in victims]
    return rows + [Case('kill_main_boot', 'kill -9 of main', 'boot', GONE,
                        boot_cases.main_killed_in_boot, recovers=False, config='own',
                        leaves=True)]


def _signals() -> list[Case]:
    return [Case(f'{number.name.lower()}_{when}', f'{number.name} to main', when,
                 'ends within 3 s, exit code 0, nothing left', signal_cases.stopped(number, when),
                 recovers=False, config='own' if when == 'boot' else 'plain', ends=when != 'boot')
            for when in ('idle', 'listening', 'thinking', 'speaking', 'boot')
            for number in (signal.SIGINT, signal.SIGTERM)]


def _start() -> list[Case]:
    def row(name: str, fault: str, expected: str, play: Callable[..., None],
            recovers: bool = False) -> Case:
        return Case(name, fault, 'boot', expected, play, recovers=recovers, config='own')

    two = {'kwd.confidence_threshold': '7', 'stt.silence_ms': 'soon'}
    says = 'ends at once with a message that says what to do'
    return [
        row('port_taken_at_start', 'a gRPC port is taken', f'exit code 3; {says}',
            start_cases.port_taken_at_start),
        row('wrong_value', 'two values of the configuration are wrong',
            'exit code 2; both are named, nothing starts',
            start_cases.wrong_configuration(two, ('confidence_threshold', 'silence_ms'))),
        row('wrong_profile', 'the profile does not exist', 'exit code 2; nothing starts',
            start_cases.wrong_configuration({'system.profile': 'gpu'}, ('profile',))),
        row('model_missing', 'a model is missing', f'exit code 1; {says}',
            start_cases.model_broken('missing')),
        row('model_truncated', 'a model is truncated', f'exit code 1; {says}',
            start_cases.model_broken('truncated')),
        row('model_nonsense', 'a model has the right size and no sense',
            'retried, then FATAL with the reason', start_cases.model_broken('nonsense')),
        row('model_lost_while_running', 'a model vanishes, its node dies, the model comes back',
            'retried until it is there; hears again', start_cases.model_lost_while_running, True),
        Case('second_instance', 'a second assistant is started', 'idle',
             'exit code 3 with a message; the first does not notice',
             start_cases.second_instance),
        Case('port_taken_at_restart', 'the port of a killed node is taken for 3 s', 'idle',
             'retried until it is free; hears again', start_cases.port_taken_at_restart,
             restarts=('kwd', 'kwd')),
    ]


def _sound() -> list[Case]:
    says = 'says so; hears and speaks again when it is back'
    both = (SPEAKER, MICROPHONE)  # in this order: this room's microphone is a sink too
    return [
        Case('microphone_unplugged', 'the microphone is unplugged for 6 s', 'idle', says,
             sound_cases.unplugged((MICROPHONE,), 'idle'), restarts=('stt',)),
        Case('microphone_unplugged_listening', 'the microphone is unplugged for 6 s', 'listening',
             says, sound_cases.unplugged((MICROPHONE,), 'listening'), restarts=('stt',)),
        Case('speaker_unplugged', 'the speaker is unplugged for 6 s', 'idle', says,
             sound_cases.unplugged((SPEAKER,), 'idle'), restarts=('tts',)),
        Case('speaker_unplugged_speaking', 'the speaker is unplugged for 6 s', 'speaking', says,
             sound_cases.unplugged((SPEAKER,), 'speaking'), restarts=('tts',)),
        Case('both_unplugged', 'microphone and speaker are unplugged for 6 s', 'idle', says,
             sound_cases.unplugged(both, 'idle'), restarts=('stt', 'tts')),
        Case('sound_server_restarted', 'the sound server is restarted', 'idle', says,
             sound_cases.server_restarted('idle'), restarts=('stt', 'tts')),
        Case('sound_server_restarted_speaking', 'the sound server is restarted', 'speaking', says,
             sound_cases.server_restarted('speaking'), restarts=('stt', 'tts')),
        Case('sound_server_hangs', 'the sound server hangs for 6 s', 'idle', says,
             sound_cases.server_hung, restarts=('stt', 'tts')),
    ]


def _ollama() -> list[Case]:
    expected = 'asked again by itself: the answer, the follow-up window'
    sorry = 'an apology, the follow-up window; the next question is answered'
    rows = [Case(f'ollama_{name}', f'Ollama {fault}', 'thinking', expected,
                 ollama_cases.misbehaving(script, word), config='ollama')
            for name, script, fault, word in (
                ('hangs', 'hang', 'hangs in the middle of an answer', 'no next token'),
                ('cuts', 'cut', 'cuts an answer off', 'cut the answer off'),
                ('fails', 'error', 'answers with an error', 'terminated'),
                ('refuses', 'refuse', 'refuses connections', 'not reachable'))]
    return [*rows,
            Case('ollama_stays_away', 'Ollama refuses connections until the user is told',
                 'thinking', sorry, ollama_cases.misbehaving('refuse', 'not reachable', True),
                 config='ollama'),
            Case('ollama_late_at_boot', 'Ollama comes up after the assistant', 'boot',
                 'the phase is retried; gets ready and hears', ollama_cases.refused_at_boot,
                 config='own'),
            Case('ollama_absent', 'Ollama never comes up', 'boot',
                 'FATAL with the reason, exit code 1', ollama_cases.absent, recovers=False,
                 config='own')]


def _disk() -> list[Case]:
    keeps = 'goes on hearing, says so; nothing acknowledged is lost'
    return [
        Case('disk_full', 'the disk of the logs is full for 8 s', 'idle', keeps,
             disk_cases.full_and_freed, config='own'),
        Case('disk_read_only', 'the disk of the logs is read-only for 8 s', 'idle', keeps,
             disk_cases.read_only_and_back, config='own'),
        Case('disk_read_only_at_start', 'the log folder is read-only', 'boot',
             'exit code 1 with a message', disk_cases.read_only_at_start, recovers=False,
             config='own'),
        Case('disk_full_at_start', 'the disk of the logs is full', 'boot',
             'exit code 1 with a message', disk_cases.full_at_start, recovers=False,
             config='own'),
    ]


def _messages() -> list[Case]:
    expected = 'refused with a reason in the log; nothing is restarted, it goes on hearing'
    return [Case('garbage_on_ports', 'random bytes on every gRPC port', 'idle',
                 'nothing is restarted, it goes on hearing', message_cases.garbage_on_ports),
            *(Case(f'messages_{kind}', f'{kind} ROS messages on every topic', 'idle', expected,
                   message_cases.messages(kind)) for kind in message_cases.RUBBISH)]


def _load(overload_s: float) -> list[Case]:
    expected = 'nothing healthy is killed; hears'
    return [Case('starved', 'four times as much work as cores for 20 s', 'idle', expected,
                 load_cases.starved(20.0)),
            Case('overload', f'four times as much work as cores for {overload_s:.0f} s', 'idle',
                 expected, load_cases.starved(overload_s), opt_in=True)]
