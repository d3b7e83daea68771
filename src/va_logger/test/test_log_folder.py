# SPDX-License-Identifier: Apache-2.0
"""Where the logs are, and that one logger at a time writes there."""

import os
from pathlib import Path
import stat

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_common.log_places import log_folder
from va_logger.log_folder import LogFolder


@pytest.mark.parametrize('setting, namespace, environ, expected', [
    ('/x/y', '/', {}, '/x/y'),
    ('', '/', {'XDG_STATE_HOME': '/s'}, '/s/va/default/log'),
    ('', '', {'XDG_STATE_HOME': '/s'}, '/s/va/default/log'),
    ('', '/robot1', {'XDG_STATE_HOME': '/s'}, '/s/va/robot1/log'),
    ('', '/a/b', {'XDG_STATE_HOME': '/s'}, '/s/va/a_b/log'),
    ('', '/', {}, f'{Path.home()}/.local/state/va/default/log'),
    ('~/z', '/', {}, f'{Path.home()}/z'),
])
def test_where(setting, namespace, environ, expected):
    assert log_folder(setting, namespace, environ) == Path(expected)


def test_folders_are_private(tmp_path):
    (tmp_path / 'log').mkdir()
    (tmp_path / 'log' / 'dialogs').mkdir(mode=0o755)
    with LogFolder(tmp_path / 'log') as folder:
        assert stat.S_IMODE(folder.dialogs.stat().st_mode) == 0o700
    with LogFolder(tmp_path / 'new' / 'log') as folder:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_second_logger_is_refused_until_the_first_is_gone(tmp_path):
    with LogFolder(tmp_path):
        with pytest.raises(AssistantError) as raised:
            LogFolder(tmp_path)
        assert raised.value.code == ErrorCode.UNAVAILABLE
        assert str(os.getpid()) in raised.value.message
        assert str(tmp_path) in raised.value.message
    LogFolder(tmp_path).close()


def test_the_probe_leaves_nothing(tmp_path):
    with LogFolder(tmp_path) as folder:
        folder.probe()
        assert list(folder.dialogs.iterdir()) == []
        assert folder.free_mb() > 0


@pytest.mark.parametrize('place', ['a_file', '/proc/va'])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / 'a_file').touch()
    with pytest.raises(AssistantError) as raised:
        LogFolder(tmp_path / place / 'log')
    assert raised.value.code == ErrorCode.DISK
    assert place in raised.value.message
    assert 'expected a folder that can be written' in raised.value.message
