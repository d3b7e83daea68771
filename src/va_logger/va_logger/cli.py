# SPDX-License-Identifier: Apache-2.0
"""``./va log``: shows dialogs and follows the application log. Needs neither ROS nor a logger."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
import os
from pathlib import Path
import sys
import threading

from va_common.config_files import config_file
from va_common.config_loader import load
from va_common.errors import AssistantError
from va_common.log_places import log_folder
from va_logger.dialog_files import dialog_ids, LAST, read_dialog
from va_logger.log_folder import APP_LOG, DIALOGS
from va_logger.log_follow import follow, tail
from va_logger.log_view import dialog_lines, list_lines
from va_logger.waterfall import latency_lines

LISTED_DIALOGS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is asked for. 0; 1 when it is not there, 2 for a mistaken option."""
    options = _parser().parse_args(argv)
    try:
        folder = _log_folder(options)
        _print(_wanted(options, folder))
    except AssistantError as error:
        print(error.message, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `./va log | head`: nobody reads on; keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='va log', description='Show dialogs and the application log. Without an option: the '
        'latest dialogs and the end of the application log.')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--dialogs', action='store_true', help='list all dialogs')
    what.add_argument('--dialog', metavar='ID', nargs='?', const=LAST,
                      help='print a dialog; its id, the beginning of it, or last (default)')
    what.add_argument('--latency', metavar='ID', nargs='?', const=LAST,
                      help="print the stages of a dialog's turns as a waterfall")
    what.add_argument('-f', '--follow', action='store_true', help='follow the application log')
    parser.add_argument('-n', '--lines', type=_count, default=15, metavar='N',
                        help='lines of the application log to begin with (15)')
    parser.add_argument('--log-dir', default='', help='log folder; else that of assistant.ini')
    parser.add_argument('--namespace', default=os.environ.get('ROS_NAMESPACE', ''),
                        help='ROS namespace of the assistant')
    parser.add_argument('--config', type=Path, help='an assistant.ini')
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _log_folder(options: argparse.Namespace) -> Path:
    setting = options.log_dir
    if not setting:
        config = load(options.config or config_file('assistant.ini'))
        setting = str(config.get('logger.log_dir'))
    return log_folder(setting, options.namespace)


def _wanted(options: argparse.Namespace, folder: Path) -> Iterable[str]:
    dialogs = folder / DIALOGS
    if options.dialog:
        return dialog_lines(read_dialog(dialogs, options.dialog))
    if options.latency:
        return latency_lines(read_dialog(dialogs, options.latency))
    if options.follow:
        return follow(folder / APP_LOG, threading.Event(), options.lines)
    if options.dialogs:
        return _list(dialogs, None)
    return _overview(folder, options.lines)


def _list(folder: Path, limit: int | None) -> Iterator[str]:
    ids = dialog_ids(folder)
    shown = ids if limit is None else ids[-limit:]
    yield f'{len(ids)} dialogs in {folder}'
    if shown:
        yield from list_lines([read_dialog(folder, dialog_id) for dialog_id in shown])


def _overview(folder: Path, lines: int) -> Iterator[str]:
    yield from _list(folder / DIALOGS, LISTED_DIALOGS)
    path = folder / APP_LOG
    yield ''
    yield f'end of {path}' if path.exists() else f'no application log yet at {path}'
    yield from tail(path, lines)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == '__main__':
    sys.exit(main())
