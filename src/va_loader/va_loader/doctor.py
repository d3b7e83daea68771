# SPDX-License-Identifier: Apache-2.0
"""``./va doctor``: checks this machine and says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import importlib.util
import ipaddress
import os
import platform
import shutil
import sys

from va_common import local_only
from va_common.config_loader import Config, ConfigError
from va_common.errors import AssistantError, error_of
from va_common.log_places import log_folder
from va_common.profile import resolve
from va_loader.bootstrap import (
    log_folder_problems,
    model_problems,
    MODULES,
    ports_of,
    python_problems,
)
from va_loader.devices import device_problems
from va_loader.instance import require_free_ports, running_instance
from va_loader.options import Options, parse
from va_loader.places import run_folder
from va_loader.sound_check import listen

ENGINES = {
    'cpu': ('openwakeword', 'sounddevice', 'pywebrtc_audio', 'faster_whisper', 'xllamacpp',
            'kokoro_onnx', 'espeakng_loader', 'soxr'),
    'cuda': ('openwakeword', 'sounddevice', 'pywebrtc_audio', 'faster_whisper', 'ollama', 'torch',
             'kokoro', 'pynvml', 'soxr'),
}
MIN_DISK_MB = 500


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    what: str
    problems: tuple[str, ...]
    detail: str = ''
    """Shown when there is no problem."""


def examine(options: Options) -> list[Finding]:
    """Check everything that can be checked without starting the assistant."""
    findings = [Finding('python', tuple(python_problems()), platform.python_version())]
    try:
        config = options.read()
    except ConfigError as error:
        return [*findings, Finding('configuration', tuple(error.problems))]
    except AssistantError as error:
        return [*findings, Finding('configuration', (error.message,))]
    findings.append(Finding('configuration', (), str(config.path)))
    checks: tuple[tuple[str, Callable[[Options, Config], tuple[list[str], str]]], ...] = (
        ('profile', _profile), ('engines', _engines), ('models', _models),
        ('audio devices', _devices), ('sound', _sound), ('instance and ports', _ports),
        ('logs', _logs), ('DDS is local', _dds))
    return findings + [_finding(what, look, options, config) for what, look in checks]


def table(findings: Sequence[Finding]) -> str:
    """The findings as lines for a terminal."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        rows = finding.problems or (finding.detail,)
        mark = 'FAIL' if finding.problems else 'ok'
        lines.append(f'{mark:<5} {finding.what:<{width}}  {rows[0]}'.rstrip())
        lines += [f'{"":<5} {"":<{width}}  {row}' for row in rows[1:]]
    return '\n'.join(lines)


def foreign_addresses(addresses: Sequence[str]) -> list[str]:
    """Those that other hosts can reach: neither loopback nor a multicast group."""
    return [text for text in addresses
            if not (ipaddress.ip_address(text).is_loopback
                    or ipaddress.ip_address(text).is_multicast)]


def _finding(what: str, look: Callable[[Options, Config], tuple[list[str], str]],
             options: Options, config: Config) -> Finding:
    try:
        problems, detail = look(options, config)
    except Exception as error:
        problems, detail = [error_of(error).message], ''
    return Finding(what, tuple(problems), detail)


def _profile(options: Options, config: Config) -> tuple[list[str], str]:
    profile = resolve(str(config.get('system.profile')))
    return [], f'{profile.name}: {profile.reason}'


def _engines(options: Options, config: Config) -> tuple[list[str], str]:
    wanted = ENGINES[resolve(str(config.get('system.profile'))).name]
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    problems = [f'Python package {name}: not installed; ./va setup installs it'
                for name in missing]
    return problems, f'{len(wanted)} packages'


def _models(options: Options, config: Config) -> tuple[list[str], str]:
    profile = resolve(str(config.get('system.profile'))).name
    return model_problems(config, profile), f'complete for the {profile} profile'


def _devices(options: Options, config: Config) -> tuple[list[str], str]:
    return device_problems(config), 'microphone and speaker are there'


def _sound(options: Options, config: Config) -> tuple[list[str], str]:
    """Play a second, record it, and say what was heard."""
    audio = config.section('audio')
    if 'topic' in (audio['audio_source'], audio['audio_sink']):
        return [], 'not tried: sound comes or goes by topic'
    if running_instance(run_folder(options.namespace)) is not None:
        return [], 'not tried: an assistant is running; ./va status says what is wrong with it'
    if device_problems(config):
        return [], 'not tried: there is no device'
    heard = listen(str(audio['input_device']), str(audio['output_device']))
    return heard.problems(), heard.sentence()


def _ports(options: Options, config: Config) -> tuple[list[str], str]:
    running = running_instance(run_folder(options.namespace))
    if running is not None:
        return [], f'an assistant is running (process {running.get("pid", "?")})'
    require_free_ports(ports_of(config), patience_s=0.0)
    return [], f'{min(ports_of(config))}-{max(ports_of(config))} are free'


def _logs(options: Options, config: Config) -> tuple[list[str], str]:
    folder = log_folder(str(config.get('logger.log_dir')), options.namespace)
    problems = log_folder_problems(folder)
    if problems:
        return problems, ''
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < MIN_DISK_MB:
        return [f'{folder}: {free_mb} MB free, expected {MIN_DISK_MB} or more'], ''
    return [], f'{folder}, {free_mb} MB free'


def _dds(options: Options, config: Config) -> tuple[list[str], str]:
    """Open a participant as the nodes do and look at its sockets."""
    setting = str(config.get('system.dds'))
    if setting == 'open':
        return [], 'no: opened by [system] dds=open'
    local_only.apply(setting)
    import psutil
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('_doctor', context=context)
        sockets = psutil.Process(os.getpid()).net_connections('udp')
        node.destroy_node()
    finally:
        context.try_shutdown()
    foreign = foreign_addresses([socket.laddr.ip for socket in sockets if socket.laddr])
    if foreign:
        return [f'sockets on {", ".join(sorted(set(foreign)))}: expected 127.0.0.1 only; is '
                f'FASTDDS_DEFAULT_PROFILES_FILE set to a file of your own?'], ''
    return [], f'{len(sockets)} sockets, loopback only'


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when something is wrong."""
    try:
        options = parse('doctor', sys.argv[1:] if argv is None else argv)
    except AssistantError as error:
        print(error.message, file=sys.stderr)
        return 2
    lacking = [name for name in MODULES if importlib.util.find_spec(name) is None]
    findings = ([Finding('python', tuple(python_problems()))] if lacking else examine(options))
    print(table(findings))
    return 1 if any(finding.problems for finding in findings) else 0


if __name__ == '__main__':
    sys.exit(main())
