# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from va_common import settings_doc
from va_common.config_files import config_file
from va_common.config_loader import ConfigError, defaults, load, parse
from va_common.settings import SECTIONS, SETTINGS

INI = Path('assistant.ini')


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text, INI)
    return raised.value.problems


def test_an_empty_file_gives_the_defaults():
    assert parse('', INI).values == defaults().values


def test_values_are_typed():
    config = parse('[loader]\nrestart_backoff_ms=1,2\n[kwd]\nconfidence_threshold=0.7\n'
                   'yes_phrases=Yes?; Sir?\n[stt]\naec_enabled=off\nsilence_ms=900', INI)
    assert config.get('loader.restart_backoff_ms') == (1, 2)
    assert config.get('kwd.confidence_threshold') == 0.7
    assert config.get('kwd.yes_phrases') == ('Yes?', 'Sir?')
    assert config.get('stt.aec_enabled') is False
    assert config.section('stt')['silence_ms'] == 900


@pytest.mark.parametrize(('text', 'expected'), [
    ('[kwd]\nconfidence_treshold=0.6', 'assistant.ini:2: confidence_treshold: '
     'unknown key in [kwd], did you mean confidence_threshold?'),
    ('[kwd]\nvoice=x', 'assistant.ini:2: voice: unknown key in [kwd], it belongs to [tts]'),
    ('[kwd]\ncooldown_ms=soon', "assistant.ini:2: cooldown_ms: 'soon' is not allowed, "
     'expected a whole number from 0 to 60000'),
    ('[kwd]\nconfidence_threshold=1.2', 'assistant.ini:2: confidence_threshold: 1.2 is out of '
     'range, expected a number from 0 to 1'),
    ('[kwd]\nconfidence_threshold=nan', "assistant.ini:2: confidence_threshold: 'nan' is not "
     'allowed, expected a number from 0 to 1'),
    ('[stt]\nendpointing=clever', "assistant.ini:2: endpointing: 'clever' is not allowed, "
     'expected one of fixed, smart'),
    ('[loader]\nrestart_backoff_ms=1000,-1', 'assistant.ini:2: restart_backoff_ms: -1 is out of '
     'range, expected whole numbers separated by commas from 0 to 600000'),
    ('[kwd]\ncooldown_ms=1\ncooldown_ms=2', 'assistant.ini:3: cooldown_ms: already set in line 2'),
    ('volume=1', "assistant.ini:1: 'volume=1': stands before the first [section]"),
    ('[tts]\nhello', "assistant.ini:2: 'hello': expected key=value or [section]"),
])
def test_a_mistake_is_named_with_its_line(text, expected):
    assert problems_of(text) == [expected]


def test_an_unknown_section_is_one_problem():
    problems = problems_of('[sst]\nmodel=base\nlanguage=en')
    assert len(problems) == 1
    assert problems[0].startswith('assistant.ini:1: [sst]: unknown section, expected one of')


def test_every_mistake_is_found():
    assert len(problems_of('[kwd]\na=1\n[tts]\nspeed=9\n[x]\n')) == 3


def test_a_missing_file_is_a_problem(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read'):
        load(tmp_path / 'none.ini')


def test_the_shipped_file_is_the_generated_one():
    path = config_file('assistant.ini')
    assert load(path).values == defaults().values
    assert path.read_text() == settings_doc.ini()


def test_every_default_is_allowed_by_its_own_range():
    from va_common.config_loader import check_value
    for setting in SETTINGS:
        check_value(setting, setting.default)
        assert setting.section in SECTIONS
