# SPDX-License-Identifier: Apache-2.0
"""The steps of set-up, in order; each is done only when its input has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import fcntl
import os
from pathlib import Path

from . import env_file, environment, host, models, system_packages, workspace
from .console import Console
from .places import Places
from .stamps import digest, file_digest, Stamps

SPACY_MODEL = 'en_core_web_sm-3.8.0-py3-none-any.whl'


@dataclass(frozen=True)
class Options:
    """The command line."""

    profile: str = ''
    only: str = 'all'
    force: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Step:
    """One step."""

    name: str
    title: str
    key: str
    """Hash of everything that goes into it."""
    present: Callable[[], bool]
    """A cheap look whether its result is still there."""
    do: Callable[[], None]


def set_up(options: Options) -> None:
    """Bring the clone up to date."""
    host.check_python()
    places = Places(Path(__file__).resolve().parents[2])
    stamps = Stamps(places.private / 'stamps')
    console = Console(places.private / 'log/setup.log')
    ros = host.choose_ros(os.environ, stamps.get('ros'))
    if not options.force and not outstanding(plan(options, places, stamps, ros, console), stamps):
        if not options.quiet:
            console.say('va: everything is set up')
        return
    host.need_writable(places.private)
    with only_one(places, console):
        steps = plan(options, places, stamps, ros, console)
        todo = steps if options.force else outstanding(steps, stamps)
        stamps.put('ros', str(ros))
        stamps.put('profile', wanted_profiles(options, stamps)[-1])
        for step in todo:
            carry_out(step, steps.index(step) + 1, len(steps), stamps, console)
    console.say('va: set up')
    if stamps.get('profile') == 'cpu' and host.gpus():
        console.say(f'va: {host.gpus()[0]} is there; ./va setup --cuda sets up its profile too')


def outstanding(steps: list[Step], stamps: Stamps) -> list[Step]:
    """Return the steps whose input has changed or whose result is gone."""
    return [step for step in steps if stamps.get(step.name) != step.key or not step.present()]


def carry_out(step: Step, number: int, total: int, stamps: Stamps, console: Console) -> None:
    """Do a step; until it is finished it counts as not done."""
    stamps.drop(step.name)
    console.begin(number, total, step.title)
    step.do()
    stamps.put(step.name, step.key)
    console.done()


def plan(options: Options, places: Places, stamps: Stamps, ros: host.Ros,
         console: Console) -> list[Step]:
    """Return the steps for these options."""
    packages_key = environment.key(places, ros)
    build_key = environment.build_key(places, ros)
    profiles = wanted_profiles(options, stamps)
    steps = [
        Step('system', 'system packages',
             digest(environment.base_python(), *(n.package for n in system_packages.NEEDS)),
             lambda: True, lambda: system_packages.install(places, console)),
        Step('environment', f'Python environment, ROS 2 {ros}', packages_key,
             (places.venv / 'bin/colcon').exists,
             lambda: environment.make(places, ros, console)),
        *cuda_packages(places, packages_key, profiles, console),
        Step('env_file', 'environment file',
             digest(packages_key, *profiles, file_digest([Path(env_file.__file__)])),
             places.env_file.exists, lambda: env_file.write(places, ros)),
    ]
    if options.only == 'environment':
        return steps
    return [
        *steps,
        Step('models', 'models', models.key(places, profiles),
             lambda: models.present(places),
             lambda: models.fetch(places, profiles, console)),
        *cuda_wheel(places, packages_key, profiles, console),
        Step('build', 'build', workspace.key(places, build_key),
             (places.install / 'local_setup.sh').exists,
             lambda: workspace.build(places, stamps, build_key, console)),
    ]


def wanted_profiles(options: Options, stamps: Stamps) -> tuple[str, ...]:
    """Return what to set up for: cpu always, cuda when it was asked for now or before."""
    chosen = options.profile or os.environ.get('VA_PROFILE', '') or stamps.get('profile')
    return ('cpu', 'cuda') if chosen == 'cuda' else ('cpu',)


def cuda_packages(places: Places, packages_key: str, profiles: tuple[str, ...],
                  console: Console) -> list[Step]:
    """Return the step that installs torch and its like, when it is wanted."""
    if 'cuda' not in profiles:
        return []
    return [Step('cuda', 'packages of the cuda profile',
                 environment.cuda_key(places, packages_key),
                 lambda: True, lambda: environment.install_cuda(places, console))]


def cuda_wheel(places: Places, packages_key: str, profiles: tuple[str, ...],
               console: Console) -> list[Step]:
    """Return the step that installs the model that Kokoro for torch reads English with."""
    if 'cuda' not in profiles:
        return []
    return [Step('cuda_wheel', 'English for the cuda profile', digest(packages_key, SPACY_MODEL),
                 lambda: True, lambda: environment.install_wheel(
                     places, models.file(places, SPACY_MODEL), console))]


@contextmanager
def only_one(places: Places, console: Console) -> Iterator[None]:
    """Keep two ./va from setting up the same clone at once."""
    places.private.mkdir(exist_ok=True)
    with open(places.private / 'lock', 'w', encoding='utf-8') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say('va: another ./va is setting up this clone; waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
