# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path
import threading

import numpy as np
import pytest
from tts_fakes import tone

from va_common.errors import AssistantError, ErrorCode
from va_tts.phrase_cache import PhraseCache, PhraseKey
from va_tts.prepared_phrases import job_for, PreparedPhrases

KEY = PhraseKey('Yes?', 'af_heart', 1.0, 'sum')
SOUND = tone(0.5, 24_000)


def test_round_trip(tmp_path: Path) -> None:
    PhraseCache(tmp_path, 10**6).put(KEY, SOUND)
    found = PhraseCache(tmp_path, 10**6).get(KEY)
    assert found is not None
    assert np.abs(found - SOUND).max() < 1e-4


@pytest.mark.parametrize('other', [
    PhraseKey('Yes', 'af_heart', 1.0, 'sum'), PhraseKey('Yes?', 'am_adam', 1.0, 'sum'),
    PhraseKey('Yes?', 'af_heart', 1.1, 'sum'), PhraseKey('Yes?', 'af_heart', 1.0, 'other'),
])
def test_all_that_changes_the_sound_is_in_the_key(tmp_path: Path, other: PhraseKey) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    cache.put(KEY, SOUND)
    assert cache.get(other) is None


@pytest.mark.parametrize('damage', [b'', b'rubbish', b'\x93NUMPY\x01\x00'])
def test_damaged_file_is_deleted(tmp_path: Path, damage: bytes) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    cache.put(KEY, SOUND)
    path = tmp_path / KEY.file_name
    path.write_bytes(damage)
    assert cache.get(KEY) is None
    assert not path.exists()


def test_half_written_file_is_not_used(tmp_path: Path) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    cache.put(KEY, SOUND)
    path = tmp_path / KEY.file_name
    path.write_bytes(path.read_bytes()[:1000])
    assert cache.get(KEY) is None


def test_folder_stays_small_and_the_oldest_go(tmp_path: Path) -> None:
    cache = PhraseCache(tmp_path, 3 * (2 * len(SOUND) + 200))
    keys = [PhraseKey(f'phrase {number}', 'af_heart', 1.0, 'sum') for number in range(6)]
    for age, key in enumerate(keys):
        cache.put(key, SOUND)
        os.utime(tmp_path / key.file_name, (1000 + age, 1000 + age))
    cache.put(KEY, SOUND)
    assert cache.get(keys[0]) is None
    assert cache.get(KEY) is not None
    assert len(list(tmp_path.iterdir())) <= 3


def test_two_writers_leave_one_whole_file(tmp_path: Path) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    threads = [threading.Thread(target=cache.put, args=(KEY, SOUND)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5.0)
    assert [path.name for path in tmp_path.iterdir()] == [KEY.file_name]
    assert cache.get(KEY) is not None


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(AssistantError, match='cache folder') as raised:
        PhraseCache(tmp_path / 'file' / 'cache', 10**6)
    assert raised.value.code == ErrorCode.DISK



def test_prepared_phrases_come_from_disk_at_the_next_start(tmp_path: Path) -> None:
    phrases = PreparedPhrases(PhraseCache(tmp_path, 10**6), 'sum', print)
    assert phrases.missing(['Yes?', 'Yes?', ' '], 'af_heart', 1.0) == ['Yes?']
    phrases.put('Yes?', 'af_heart', 1.0, SOUND)
    again = PreparedPhrases(PhraseCache(tmp_path, 10**6), 'sum', print)
    assert again.missing(['Yes?'], 'af_heart', 1.0) == []
    assert again.get(' Yes? ', 'af_heart', 1.0) is not None
    assert again.get('Yes?', 'af_heart', 1.2) is None


def test_another_voice_forgets_the_phrases_of_the_old_one(tmp_path: Path) -> None:
    phrases = PreparedPhrases(PhraseCache(tmp_path, 10**6), 'sum', print)
    phrases.put('Yes?', 'af_heart', 1.0, SOUND)
    assert phrases.missing(['Yes?'], 'am_adam', 1.0) == ['Yes?']
    assert len(phrases) == 0


def test_full_disk_is_told_and_the_phrase_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = tmp_path / 'cache'
    phrases = PreparedPhrases(PhraseCache(folder, 10**6), 'sum', lines.append)
    folder.rmdir()
    phrases.put('Yes?', 'af_heart', 1.0, SOUND)
    assert phrases.get('Yes?', 'af_heart', 1.0) is not None
    assert len(lines) == 1


def test_job_says_words() -> None:
    assert job_for('Costs $5', 'af_heart', 1.0).words == 'Costs 5 dollars'
