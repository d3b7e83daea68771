# SPDX-License-Identifier: Apache-2.0
"""The models step: fetched by va_common.model_catalogue, looked after by size."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess

from .console import Console
from .errors import SaidAlready
from .places import Places
from .stamps import digest, file_digest

CATALOGUE = 'config/models.toml'
RECORD = '.va/models.txt'


def key(places: Places, profiles: tuple[str, ...]) -> str:
    """Return the hash of what decides which model files are needed, and where."""
    chosen = (os.environ.get('VA_MODELS_DIR') or os.environ.get('XDG_DATA_HOME')
              or os.environ.get('HOME', ''))
    settings = places.root / 'config/assistant.ini'
    lines = settings.read_text(encoding='utf-8').splitlines() if settings.is_file() else []
    configured = [line for line in lines if line.startswith('models_dir')]
    return digest(*profiles, chosen, *configured, file_digest([places.root / CATALOGUE]))


def present(places: Places) -> bool:
    """Tell whether every file is there in its size; the hashes were checked when it came."""
    try:
        lines = (places.root / RECORD).read_text(encoding='utf-8').splitlines()
        return all(os.stat(path).st_size == int(size) for size, path in
                   (line.split(' ', 1) for line in lines))
    except OSError:
        return False


def file(places: Places, name: str) -> Path:
    """Return where a fetched file of this name is."""
    lines = (places.root / RECORD).read_text(encoding='utf-8').splitlines()
    return next(Path(line.split(' ', 1)[1]) for line in lines if line.endswith(f'/{name}'))


def fetch(places: Places, profiles: tuple[str, ...], console: Console) -> None:
    """Fetch what is missing; it shows its own progress and says itself what failed."""
    script = (f'. "{places.env_file}" && PYTHONPATH="$VA_ROOT/src/va_common:${{PYTHONPATH:-}}"'
              f' exec python -m va_common.model_catalogue --record {RECORD} "$@"')
    options = [option for profile in profiles for option in ('--profile', profile)]
    process = subprocess.Popen(['sh', '-c', script, 'sh', *options], cwd=places.root)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise SaidAlready
