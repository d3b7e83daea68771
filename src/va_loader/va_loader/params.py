# SPDX-License-Identifier: Apache-2.0
"""From the configuration to the command line and the ROS parameter file of each process."""

from __future__ import annotations

import json
import os
from pathlib import Path

from va_common.config_loader import Config
from va_common.log_places import log_folder
from va_common.settings import SettingValue
from va_loader.options import Options

SHARED_SECTIONS = ('system', 'audio')


def node_parameters(config: Config, section: str, namespace: str) -> dict[str, SettingValue]:
    """The ROS parameters of one node: its own keys plain, shared ones as ``section.key``."""
    values = dict(config.section(section))
    for shared in SHARED_SECTIONS:
        values.update({f'{shared}.{key}': value for key, value in config.section(shared).items()})
    if section == 'tts' and not values['prepared_phrases']:
        values['prepared_phrases'] = prepared_phrases(config)
    if section == 'logger':
        # Always said, so that the last-resort log of main is beside it.
        values['log_dir'] = str(log_folder(str(values['log_dir']), namespace))
    return values


def prepared_phrases(config: Config) -> tuple[str, ...]:
    """What tts synthesises ahead: greeting, acknowledgements, apologies; each once."""
    greeting = str(config.get('loader.greeting'))
    phrases = [greeting] if greeting else []
    for name in ('kwd.yes_phrases', 'loader.apology_phrases', 'loader.patience_phrases'):
        value = config.get(name)
        assert isinstance(value, tuple)
        phrases += [str(phrase) for phrase in value]
    return tuple(dict.fromkeys(phrases))


def parameter_file_text(values: dict[str, SettingValue]) -> str:
    """A ROS parameter file. JSON is YAML; empty lists have no type there and are left out."""
    plain = {key: list(value) if isinstance(value, tuple) else value
             for key, value in values.items() if value != ()}
    return json.dumps({'/**': {'ros__parameters': plain}}, indent=1, ensure_ascii=False) + '\n'


def write_parameter_file(folder: Path, name: str, config: Config, namespace: str) -> Path:
    """Write the file of one node, readable by its user only. Raises OSError."""
    path = folder / f'{name}.params.yaml'
    text = parameter_file_text(node_parameters(config, name, namespace))
    fresh = path.with_suffix('.new')
    fresh.write_text(text, encoding='utf-8')
    fresh.chmod(0o600)
    os.replace(fresh, path)
    return path


def ros_arguments(parameter_file: Path, options: Options) -> list[str]:
    """The ROS part of a node's command line; a params file of the person's own comes last."""
    arguments = ['--ros-args', '--params-file', str(parameter_file)]
    if options.params_file is not None:
        arguments += ['--params-file', str(options.params_file)]
    return [*arguments, '-r', f'__ns:={options.namespace or "/"}']
