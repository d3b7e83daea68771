# SPDX-License-Identifier: Apache-2.0
"""Writes what is generated from the settings table: ``assistant.ini`` and the docs' tables.

``python -m va_common.settings_doc ini > config/assistant.ini``
"""

from __future__ import annotations

import sys
import textwrap

from va_common.settings import of_section, SECTIONS, Setting, SettingValue

_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# The configuration of the voice assistant: every setting with its default.
# Checked as a whole before anything starts. A key marked (live) can be changed while the
# assistant runs: ros2 param set /kwd confidence_threshold 0.7
"""


def value_text(value: SettingValue) -> str:
    """A value as it is written in the ini file."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, tuple):
        separator = ',' if value and isinstance(value[0], int) else ';'
        return separator.join(str(element) for element in value)
    return str(value)


def ini() -> str:
    """The text of ``config/assistant.ini``."""
    return _HEAD + ''.join(_ini_section(section) for section in SECTIONS)


def _ini_section(section: str) -> str:
    keys = ''.join(_ini_key(setting) for setting in of_section(section))
    return f'\n[{section}]\n{keys}'


def _ini_key(setting: Setting) -> str:
    live = ' (live)' if setting.live else ''
    comment = textwrap.fill(f'{_meaning(setting)}{live}', 97,
                            initial_indent='# ', subsequent_indent='#   ')
    return f'{comment}\n{setting.key}={value_text(setting.default)}\n'


def _meaning(setting: Setting) -> str:
    # 'text' says nothing that the description does not.
    if setting.expected == 'text':
        return setting.description
    return f'{setting.description}; {setting.expected}'


def markdown() -> str:
    """The table of all settings for the docs."""
    rows = ['| section | key | default | live | meaning |', '|---|---|---|---|---|']
    for section in SECTIONS:
        rows += [_row(setting) for setting in of_section(section)]
    return '\n'.join(rows) + '\n'


def _row(setting: Setting) -> str:
    default = value_text(setting.default)
    shown = f'`{default}`' if default else ''
    live = 'yes' if setting.live else ''
    text = _meaning(setting).replace('|', '\\|')
    return f'| {setting.section} | `{setting.key}` | {shown} | {live} | {text} |'


if __name__ == '__main__':
    print({'ini': ini, 'markdown': markdown}[sys.argv[1]](), end='')
