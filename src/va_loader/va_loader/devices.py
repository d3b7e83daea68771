# SPDX-License-Identifier: Apache-2.0
"""Has this machine a microphone and a speaker? ``python -m va_loader.devices``: 0 yes, 1 no."""

from __future__ import annotations

from collections.abc import Sequence
import sys
from typing import Literal

from va_common.config_loader import Config
from va_common.errors import AssistantError, error_of
from va_common.port_audio import find_device
from va_loader.children import print_line
from va_loader.exit_codes import EXIT_CONFIGURATION
from va_loader.options import parse

_KINDS: tuple[tuple[Literal['input', 'output'], str, str, str], ...] = (
    ('input', 'microphone', 'audio_source', 'input_device'),
    ('output', 'speaker', 'audio_sink', 'output_device'),
)


def device_problems(config: Config) -> list[str]:
    """What is missing, one line each; sound that comes by topic needs no device."""
    audio = config.section('audio')
    problems = []
    for kind, word, source_key, name_key in _KINDS:
        if audio[source_key] == 'topic':
            continue
        try:
            find_device(str(audio[name_key]), kind)
        except Exception as error:  # PortAudio's own errors, and that it is not installed
            problems.append(f'no {word}: {error_of(error).message}')
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """Say in one line what is missing."""
    try:
        config = parse('devices', sys.argv[1:] if argv is None else argv).read()
    except AssistantError as error:
        print_line(error.message)
        return EXIT_CONFIGURATION
    problems = device_problems(config)
    if problems:
        print(f'this machine has {"; ".join(problems)}')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
