# SPDX-License-Identifier: Apache-2.0
"""``./va status|say|ask|wake|stop``: talks to a running assistant over ROS."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys
import time
from typing import TextIO

from va_common.errors import AssistantError, ErrorCode
from va_loader.instance import last_instance, running_instance
from va_loader.places import namespace_of, run_folder
from va_loader.troubles import recent

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; 0 done, 1 failed, 2 wrong command line, 4 no assistant is running."""
    given = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    try:
        namespace = namespace_of(given.namespace)
        facts = running_instance(run_folder(namespace))
        if facts is None:
            where = f' in namespace {namespace}' if namespace else ''
            print(f'no assistant is running{where}: start one with ./va run', file=sys.stderr)
            _print_troubles(last_instance(run_folder(namespace)), sys.stderr)
            return EXIT_NOT_RUNNING
        return _carry_out(given, namespace, facts)
    except AssistantError as error:
        print(error.message, file=sys.stderr)
        return 2 if error.code is ErrorCode.INVALID_ARGUMENT else EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _carry_out(given: argparse.Namespace, namespace: str, facts: dict[str, object]) -> int:
    # rclpy takes most of a second to import: not for telling that nothing runs.
    from va_loader.cli_client import CliClient

    with CliClient(namespace) as client:
        if given.command == 'status':
            print(client.status(facts))
            _print_troubles(facts, sys.stdout)
        elif given.command == 'say':
            print(client.say(' '.join(given.text)))
        elif given.command == 'ask':
            for piece in client.ask(' '.join(given.text), given.speak):
                print(piece, end='', flush=True)
            print()
        elif given.command == 'wake':
            print(f'listening: dialog {client.wake()}')
        else:
            client.stop()
            print('stopping')
    return 0


def _print_troubles(facts: dict[str, object], where: TextIO) -> None:
    """What went wrong in the last ten minutes."""
    folder = facts.get('log_folder')
    for line in recent(Path(str(folder)), time.time()) if folder else ():
        print(f'trouble  {line}', file=where)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='va', description='Talk to a running assistant.')
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('--namespace', default='', help='of the assistant, for example robot1')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    commands.add_parser('status', parents=[shared], help='what it is doing')
    say = commands.add_parser('say', parents=[shared], help='let it say a text')
    say.add_argument('text', nargs='+')
    ask = commands.add_parser('ask', parents=[shared], help='ask it, by text')
    ask.add_argument('text', nargs='+')
    ask.add_argument('--speak', action='store_true', help='speak the answer too')
    commands.add_parser('wake', parents=[shared], help='wake it, as the wake word does')
    commands.add_parser('stop', parents=[shared], help='stop it')
    return parser


if __name__ == '__main__':
    sys.exit(main())
