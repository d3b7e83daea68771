# SPDX-License-Identifier: Apache-2.0
"""The catalogue of models: where a model's files are, and whether they are whole.

Plain Python, no ROS. Fetching is in :mod:`va_common.model_fetch`, the command line
(``./va models``) in :mod:`va_common.model_cli`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
import hashlib
import os
from pathlib import Path
import re
import sys
from typing import Any

from va_common.config_files import config_file
from va_common.errors import AssistantError, ErrorCode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MEND = './va models'
KINDS = ('https', 'pypi', 'npm', 'ollama')
PROFILES = ('cpu', 'cuda')
_KEYS = {'description', 'licence', 'profiles', 'optional', 'folder', 'parts', 'files', *KINDS}


class ModelMissingError(AssistantError):
    """A file of a model is missing or damaged; the text says which, how, and what mends it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(ErrorCode.MODEL_MISSING, str(problem))
        self.problem = problem


@dataclass(frozen=True)
class ModelFile:
    """One file of a model."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where a model comes from."""

    kind: str
    """``https``, ``pypi``, ``npm`` or ``ollama``."""
    names: tuple[str, ...]
    """Packages with versions, or the one address or name."""

    def __str__(self) -> str:
        return f'{self.kind} {" ".join(self.names)}'


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue."""

    id: str
    description: str
    licence: str
    profiles: tuple[str, ...]
    sources: tuple[Source, ...]
    """Tried in this order."""
    files: tuple[ModelFile, ...]
    optional: bool = False
    """Fetched only when asked for by name."""
    members: Mapping[str, tuple[str, ...]] | None = None
    """For each file its members inside the packages, to be joined in order."""

    @property
    def source(self) -> str:
        """The sources, for a person."""
        return ' or '.join(map(str, self.sources))

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file of a model."""

    model: str
    path: Path
    what: str

    def __str__(self) -> str:
        return f'model file {self.path}: {self.what}; {MEND} {self.model} fetches it again'


def load_catalogue(path: Path | None = None) -> dict[str, Model]:
    """Read the catalogue: ``config/models.toml`` unless another file is given.

    Raises:
        AssistantError: INVALID_ARGUMENT naming the file, the entry and the key.
    """
    return dict(_read(path or config_file('models.toml')))


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, Model]:
    try:
        entries = tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, f'{path}: {error}') from error
    return {name: _model(path, name, entry) for name, entry in entries.items()}


def _model(path: Path, name: str, entry: Any) -> Model:
    """Check one entry; the first mistake is said with its place."""
    def expect(condition: bool, key: str, expected: str) -> None:
        if not condition:
            message = f'{path}: [{name}] {key}: expected {expected}'
            raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)

    expect(re.fullmatch(r'[\w.-]+', name) is not None, 'its name', 'letters, digits, . - _')
    expect(isinstance(entry, dict), 'entry', 'a table')
    unknown = sorted(set(entry) - _KEYS)
    expect(not unknown, ', '.join(unknown), f'only {", ".join(sorted(_KEYS))}')
    for key in ('description', 'licence'):
        expect(isinstance(entry.get(key), str), key, 'a text')
    profiles = entry.get('profiles')
    expect(isinstance(profiles, list) and set(profiles) <= set(PROFILES), 'profiles',
           f'a list of {", ".join(PROFILES)}')
    sources = tuple(
        Source(kind, tuple(_as_list(entry[kind]))) for kind in KINDS if kind in entry)
    expect(bool(sources), 'source', f'one of {", ".join(KINDS)}')
    files = entry.get('files', {})
    for file, value in files.items():
        expect(_is_file(file, value), f'files.{file}', '[size in bytes, sha256]')
    expect(bool(files) or sources[0].kind == 'ollama', 'files', 'at least one')
    parts, folder = entry.get('parts', {}), entry.get('folder', '')
    expect(set(parts) <= set(files), 'parts', 'only names that files has too')
    return Model(
        id=name, description=entry['description'], licence=entry['licence'],
        profiles=tuple(entry['profiles']), optional=bool(entry.get('optional', False)),
        sources=sources,
        files=tuple(ModelFile(file, size, sha256) for file, (size, sha256) in files.items()),
        members={file: tuple(parts.get(file, [f'{folder}/{file}'])) for file in files})


def _as_list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _is_file(name: str, value: Any) -> bool:
    return (
        name == Path(name).name and isinstance(value, list) and len(value) == 2
        and isinstance(value[0], int) and value[0] > 0
        and isinstance(value[1], str) and re.fullmatch('[0-9a-f]{64}', value[1]) is not None)


def models_dir(setting: str = '') -> Path:
    """Where models are kept: the setting, else ``$VA_MODELS_DIR``, else the user's data folder.

    All clones of a user share it, so a second clone fetches nothing.
    """
    chosen = setting or os.environ.get('VA_MODELS_DIR')
    if chosen:
        return Path(chosen).expanduser().absolute()
    data = os.environ.get('XDG_DATA_HOME') or '~/.local/share'
    return Path(data).expanduser() / 'va' / 'models'


def model_path(model_id: str, file: str | None = None, *, root: Path | None = None) -> Path:
    """Return where a file of a model is, or with no file named the model's folder.

    Only existence and size are looked at; :func:`check_deep` hashes.

    Raises:
        ModelMissingError: a file is missing or its size is wrong.
        AssistantError: INVALID_ARGUMENT when the catalogue has no such model or file.
    """
    model = _known(model_id)
    folder = (root or models_dir()) / model.id
    wanted = [f for f in model.files if file is None or f.name == file]
    if file is not None and not wanted:
        names = ', '.join(f.name for f in model.files)
        message = f'model {model_id}: no file {file!r}; expected one of {names}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    for each in wanted:
        problem = _look(model, each, folder / each.name, deep=False)
        if problem is not None:
            raise ModelMissingError(problem)
    return folder if file is None else folder / file


def check_deep(model_id: str, *, root: Path | None = None) -> None:
    """Hash every file of a model: to be called when an engine cannot load it, to say why.

    Raises:
        ModelMissingError: a file is missing or damaged.
    """
    problems = verify(_known(model_id), root or models_dir(), deep=True)
    if problems:
        raise ModelMissingError(problems[0])


def _known(model_id: str) -> Model:
    catalogue = load_catalogue()
    if model_id not in catalogue:
        message = f'model {model_id!r}: expected one of {", ".join(catalogue)}'
        raise AssistantError(ErrorCode.INVALID_ARGUMENT, message)
    return catalogue[model_id]


def verify(model: Model, root: Path, deep: bool) -> list[Problem]:
    """Look at every file of a model; deep also compares the contents' sha256."""
    looks = (_look(model, file, root / model.id / file.name, deep) for file in model.files)
    return [problem for problem in looks if problem is not None]


def _look(model: Model, file: ModelFile, path: Path, deep: bool) -> Problem | None:
    try:
        size = path.stat().st_size
        if size != file.size:
            what = f'damaged: {size} bytes, expected {file.size}'
        elif deep and sha256_of(path) != file.sha256:
            what = f'damaged: its sha256 is not {file.sha256}'
        else:
            return None
    except FileNotFoundError:
        what = 'missing'
    except OSError as error:
        what = f'unreadable: {error.strerror}'
    return Problem(model.id, path, what)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content."""
    total = hashlib.sha256()
    with open(path, 'rb') as stream:
        while block := stream.read(1 << 20):
            total.update(block)
    return total.hexdigest()


if __name__ == '__main__':
    from va_common.model_cli import main
    raise SystemExit(main(sys.argv[1:]))
