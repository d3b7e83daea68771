# SPDX-License-Identifier: Apache-2.0
"""Where caches are: the setting, else as XDG says."""

from pathlib import Path

import pytest

from va_common.cache_folder import cache_folder


def test_the_setting_goes_before_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/somewhere')
    assert cache_folder('', 'tts') == Path('/somewhere/va/tts')
    assert cache_folder('/other', 'tts') == Path('/other')
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', '/home/jo')
    assert cache_folder('', 'llm') == Path('/home/jo/.cache/va/llm')
    assert cache_folder('~/x', 'llm') == Path('/home/jo/x')
