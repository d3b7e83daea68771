# SPDX-License-Identifier: Apache-2.0
"""The kept copy of a model: whole or not there, whatever happens to the disk."""

import os
from pathlib import Path
import shutil
import time
from types import SimpleNamespace

import pytest

from va_tts.model_cache import ModelCache, UNUSED_S


def cache(folder: Path, *depends_on: str, room_bytes: int = 0) -> ModelCache:
    return ModelCache(folder, depends_on or ('sum', '1.0'), room_bytes)


def write(folder: Path) -> str:
    (folder / 'graph').write_text('graph')
    (folder / 'weights').write_text('weights')
    return 'loaded'


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A folder with one copy."""
    folder = tmp_path / 'not' / 'there yet'
    assert cache(folder).find() is None
    assert cache(folder).fill(write) == 'loaded'
    return folder


def test_what_was_kept_is_found(filled: Path) -> None:
    copy = cache(filled).find()
    assert copy is not None
    assert (copy / 'weights').read_text() == 'weights'


@pytest.mark.parametrize('other', [('another sum', '1.0'), ('sum', '1.1'), ('sum', '1.0', 'arm')])
def test_a_copy_for_another_model_or_library_is_not_taken(filled: Path,
                                                          other: tuple[str, ...]) -> None:
    assert cache(filled, *other).find() is None
    assert cache(filled).find() is not None


@pytest.mark.parametrize('harm', [
    lambda copy: (copy / 'weights').write_text('weightz'),
    lambda copy: os.truncate(copy / 'weights', 3),
    lambda copy: (copy / 'weights').unlink(),
    lambda copy: (copy / 'sha256').unlink(),
    lambda copy: (copy / 'sha256').write_bytes(b'\xff\xfe'),
])
def test_a_damaged_copy_is_deleted_and_made_again(filled: Path, harm) -> None:
    copy = cache(filled).find()
    assert copy is not None
    harm(copy)
    assert cache(filled).find() is None
    assert not copy.exists()
    assert cache(filled).fill(write) == 'loaded'
    assert cache(filled).find() == copy


def test_a_copy_that_was_not_finished_is_not_kept(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise OSError('No space left on device')

    assert cache(tmp_path).fill(fail) is None
    assert not list(tmp_path.iterdir())


def test_a_process_killed_while_it_writes_leaves_no_copy(tmp_path: Path) -> None:
    class Killed(BaseException):
        """Nothing clears up."""

    def die(folder: Path) -> None:
        write(folder)
        raise Killed

    with pytest.raises(Killed):
        cache(tmp_path).fill(die)
    assert cache(tmp_path).find() is None
    assert cache(tmp_path).fill(write) == 'loaded'
    assert cache(tmp_path).find() is not None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    in_the_way = tmp_path / 'file'
    in_the_way.write_text('')
    assert cache(in_the_way).find() is None
    assert cache(in_the_way).fill(write) is None


def test_without_the_room_nothing_is_written(tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=99))
    assert cache(tmp_path, room_bytes=100).fill(write) is None
    assert not list(tmp_path.iterdir())
    assert cache(tmp_path, room_bytes=99).fill(write) == 'loaded'


def test_the_process_that_was_slower_goes_on_with_its_own(filled: Path) -> None:
    assert cache(filled).fill(lambda folder: (write(folder), 'slower')[1]) == 'slower'
    assert [path.name for path in filled.iterdir()] == [cache(filled)._copy.name]


def test_copies_that_nobody_uses_are_deleted(filled: Path) -> None:
    old = cache(filled).find()
    assert old is not None
    long_ago_s = time.time() - UNUSED_S - 1
    os.utime(old, (long_ago_s, long_ago_s))
    assert cache(filled).find() == old, 'using it makes it young again'
    assert cache(filled, 'another').fill(write) == 'loaded'
    assert old.exists()
    os.utime(old, (long_ago_s, long_ago_s))
    assert cache(filled, 'a third').fill(write) == 'loaded'
    assert not old.exists()
    assert cache(filled, 'another').find() is not None
