# SPDX-License-Identifier: Apache-2.0
"""The command ``./va models``: fetch, list and verify models."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import configparser
import os
from pathlib import Path
import signal
import sys
import time
from typing import NoReturn

from va_common.config_files import config_file
from va_common.errors import AssistantError, ErrorCode
from va_common.model_catalogue import load_catalogue, Model, models_dir, PROFILES, verify
from va_common.model_fetch import fetch


class Meter:
    """Shows how far a fetch is: a live line on a terminal, a line per package elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._last = ''
        self._shown = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show a state."""
        if what != self._last:
            self.end()
            self._last = what
            if not self._live:
                print(f'va: fetching {what}', flush=True)
        if self._live and time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            share = f'{100 * done // total} % of {total / 1e6:.0f} MB' if total else ''
            sys.stdout.write(f'\r\x1b[Kva: fetching {what} {share}')
            sys.stdout.flush()

    def end(self) -> None:
        """End the live line."""
        if self._live and self._last:
            sys.stdout.write('\n')
            sys.stdout.flush()


def choose(ids: Sequence[str], profiles: Sequence[str]) -> list[Model]:
    """Return the models named, or those that the profiles need."""
    catalogue = load_catalogue()
    unknown = [name for name in ids if name not in catalogue]
    if unknown:
        message = f'model {unknown[0]!r}: expected one of {", ".join(catalogue)}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    if ids:
        return [catalogue[name] for name in ids]
    return [model for model in catalogue.values()
            if not model.optional and set(model.profiles) & set(profiles)]


def show(models: Sequence[Model], root: Path) -> None:
    """Print a table of models and their state."""
    print(f'models in {root}')
    for model in models:
        problems = verify(model, root, deep=False)
        state = 'here' if not problems else f'{len(problems)} of {len(model.files)} files missing'
        if not model.files:
            state = 'kept by Ollama'
        optional = ', optional' if model.optional else ''
        print(f'{model.id:30} {model.size / 1e6:6.1f} MB  {state}\n'
              f'    {model.description}; {model.licence}; {"/".join(model.profiles)}{optional}\n'
              f'    from {model.source}')


def check(models: Sequence[Model], root: Path) -> int:
    """Hash every file; print what is wrong."""
    problems = [problem for model in models for problem in verify(model, root, deep=True)]
    for problem in problems:
        print(f'va: {problem}', file=sys.stderr)
    if not problems:
        print(f'va: {len(models)} models verified in {root}')
    return 1 if problems else 0


def record(models: Sequence[Model], root: Path, path: Path) -> None:
    """Write the size and path of every file, for set-up to look after."""
    lines = [f'{file.size} {root / model.id / file.name}\n'
             for model in models for file in model.files]
    temporary = path.with_name(path.name + '.new')
    temporary.write_text(''.join(lines), encoding='utf-8')
    os.replace(temporary, path)


def configured_dir() -> Path:
    """Return the models folder of the configuration file, or the default one."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read(config_file('assistant.ini'), encoding='utf-8')
    except (AssistantError, configparser.Error, UnicodeDecodeError):
        return models_dir()
    return models_dir(settings.get('system', 'models_dir', fallback='').strip())


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='./va models', description='Fetch the models that are missing or damaged.')
    parser.add_argument('ids', nargs='*', metavar='ID', help='only these models')
    parser.add_argument('--list', action='store_true', help='show the catalogue and what is here')
    parser.add_argument('--verify', action='store_true', help='hash every file, fetch nothing')
    parser.add_argument('--profile', action='append', choices=PROFILES,
                        help='the models of this profile (default: VA_PROFILE, else cpu)')
    parser.add_argument('--record', type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Carry out the command; return the exit code."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    profiles = options.profile or [p for p in PROFILES if p == os.environ.get('VA_PROFILE')]
    try:
        root = configured_dir()
        if options.list:
            show([m for m in load_catalogue().values() if not options.ids or m.id in options.ids],
                 root)
            return 0
        models = choose(options.ids, profiles or ['cpu'])
        if options.verify:
            return check(models, root)
        meter = Meter()
        fetched = fetch(models, root, meter)
        meter.end()
        if options.record:
            record(models, root, options.record)
        print(f'va: models: {len(fetched)} fetched, {len(models) - len(fetched)} were here '
              f'({root})')
    except AssistantError as error:
        print(f'\nva: {error.message}', file=sys.stderr)
        return 1
    except OSError as error:
        print(f'\nva: models: {error}; expected to read and write there', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nva: interrupted; ./va models goes on where it stopped', file=sys.stderr)
        return 130
    return 0
