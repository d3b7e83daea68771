#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration conversation: the assistant, unmodified, and a synthetic user in a virtual
room.
"""
from __future__ import annotations

import argparse
from pathlib import Path
import signal
import sys

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    # Ctrl-C while the imports run ends it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from va_common.errors import AssistantError
from virtual_room import script as scripts
from virtual_room.pulse import RoomError
from virtual_room.room_process import RoomSettings
from virtual_room.stage import Demonstration, DemoSettings
from virtual_room.voices import Voices


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='./va demo',
        description='Hold the demonstration conversation in a virtual room: the assistant as it '
        'is, with audio devices made of software, and a synthetic user who speaks to it.',
    )
    add = parser.add_argument
    add('--out', type=Path, default=Path('out/demo'), metavar='DIR',
        help='where report.json, mic.wav, speaker.wav and timeline.png go (%(default)s)')
    add('--config', type=Path, metavar='INI', help='instead of config/assistant.ini')
    add('--profile', choices=('auto', 'cpu', 'cuda'), help='instead of the configured profile')
    add('--namespace', default='', help='ROS namespace of the assistant')
    add('--log-level', default='', help='of the assistant')
    add('--params-file', type=Path, metavar='FILE', help='ROS parameter file for the assistant')
    add('--port-offset', type=int, metavar='N', help='when another assistant runs on this machine')
    add('--voice', default=scripts.VOICE, help='Kokoro voice of the user (%(default)s)')
    add('--questions', type=Path, metavar='FILE',
        help='text file, a question per line: asked, followed up, the rest in one breath')
    add('--wake', type=Path, metavar='WAV', help='a recording of "Hey Jarvis" instead')
    add('--near-miss', type=Path, metavar='WAV', help='a recording that must not wake it')
    add('--question', action='append', default=[], metavar='WAV:TEXT', type=_recording,
        help='a recorded question and its text; repeat: follow-up, then in one breath')
    add('--rir', default='', metavar='WAV', help='impulse response of the room (synthetic)')
    add('--noise', default='', metavar='WAV', help='background noise (pink)')
    add('--snr', type=float, default=30.0, metavar='DB', help='user over noise (%(default)s)')
    add('--heard', action='store_true',
        help='also write heard.wav: what the assistant hears after echo cancellation')
    add('--seed', type=int, default=1, help='of room and noise (%(default)s)')
    return parser.parse_args(argv)


def _recording(value: str) -> tuple[Path, str]:
    path, colon, text = value.partition(':')
    if not colon or not text.strip():
        raise argparse.ArgumentTypeError(f'{value}: expected WAV:TEXT')
    return Path(path), text.strip()


def _passed_on(options: argparse.Namespace) -> tuple[str, ...]:
    """The options of main that it gets as they are."""
    pairs = {'--namespace': options.namespace, '--log-level': options.log_level,
             '--params-file': options.params_file and options.params_file.resolve()}
    return tuple(str(text) for flag, value in pairs.items() if value for text in (flag, value))


def _make_script(options: argparse.Namespace, voices: Voices) -> scripts.Script:
    questions = scripts.QUESTIONS
    if options.questions:
        lines = options.questions.read_text().splitlines()
        questions = tuple(line.strip() for line in lines if line.strip())
    script = scripts.from_texts(voices, options.voice, questions)
    return scripts.with_recordings(script, options.out / 'lines', wake=options.wake,
                                   near_miss=options.near_miss, questions=tuple(options.question))


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    options.out = options.out.resolve()
    # SIGTERM as Ctrl-C: both end everything in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    room = RoomSettings(out=str(options.out), seed=options.seed, rir=options.rir,
                        noise=options.noise, snr_db=options.snr)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        demonstration = Demonstration(DemoSettings(
            out=options.out, room=room, config=options.config, profile=options.profile or '',
            port_offset=options.port_offset, namespace=options.namespace.strip('/'),
            options=_passed_on(options), heard=options.heard))
        passed = demonstration.run(lambda voices: _make_script(options, voices))
    except KeyboardInterrupt:
        print('\nstopped', flush=True)
        return 130
    except (RoomError, AssistantError, ValueError, OSError) as error:
        print(f'./va demo: {error}', file=sys.stderr)
        return 1
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
