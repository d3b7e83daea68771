# SPDX-License-Identifier: Apache-2.0
"""The parts of set-up, each on its own: no network, no root."""
from pathlib import Path
import subprocess
import sys

import patch_ros_wheels
import pytest

from va_setup import env_file, host, private_pulse, system_packages, workspace
from va_setup.console import Console
from va_setup.errors import explain, SetupError
from va_setup.host import choose_ros, Ros
from va_setup.places import Places
from va_setup.run import carry_out, outstanding, Step
from va_setup.stamps import digest, Stamps


@pytest.fixture
def places(tmp_path: Path) -> Places:
    root = tmp_path / 'a clone with spaces'
    (root / '.va').mkdir(parents=True)
    return Places(root)


@pytest.fixture
def console(places: Places) -> Console:
    return Console(places.private / 'log/setup.log')


# Steps -------------------------------------------------------------------------------------


def step(done: list[str], key: str = 'k', present: bool = True) -> Step:
    return Step('one', 'a step', key, lambda: present, lambda: done.append(key))


def test_a_step_is_done_once(places, console):
    stamps, done = Stamps(places.private / 'stamps'), []
    for _ in range(2):
        for each in outstanding([step(done)], stamps):
            carry_out(each, 1, 1, stamps, console)
    assert done == ['k']


@pytest.mark.parametrize('again', [{'key': 'other'}, {'present': False}])
def test_a_step_is_done_again_when_its_input_or_result_is_another(places, console, again):
    stamps = Stamps(places.private / 'stamps')
    stamps.put('one', 'k')
    assert outstanding([step([])], stamps) == []
    assert len(outstanding([step([], **again)], stamps)) == 1


def test_an_interrupted_step_counts_as_not_done(places, console):
    stamps = Stamps(places.private / 'stamps')
    stamps.put('one', 'k')

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(Step('one', 'a step', 'new', lambda: True, interrupted), 1, 1, stamps, console)
    assert stamps.get('one') == ''


def test_the_hash_of_texts_knows_where_one_ends():
    assert digest('ab', 'c') != digest('a', 'bc')


# Messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(('output', 'thing'), [
    ('error: dns error: failed to lookup address information', 'network'),
    ('NewConnectionError: [Errno -3] Temporary failure in name resolution', 'network'),
    ("E: Temporary failure resolving 'deb.example'", 'network'),
    ('OSError: [Errno 28] No space left on device', 'disk'),
    ('error: Hash mismatch for `numpy`', 'package'),
    ('c++: error: unrecognized option', 'building'),
    ("ModuleNotFoundError: No module named 'ament_package'", 'building'),
])
def test_a_failure_is_explained_by_what_the_command_said(output, thing):
    assert explain('building', output, 'setup.log').thing == thing


def test_a_failed_command_is_one_line_and_its_output_is_in_the_log(console):
    with pytest.raises(SetupError) as error:
        console.run('building', ['sh', '-c', 'echo first; echo "error: no rule"; echo; exit 3'])
    assert str(error.value).startswith('building: error: no rule; expected it to succeed. Read ')
    assert '\n' not in str(error.value)
    assert 'first\n' in console.log.read_text()


# The machine -------------------------------------------------------------------------------


def test_a_disk_that_is_full_is_refused(places):
    with pytest.raises(SetupError, match=r'disk: \d+ MB free at .*; expected 999999999 MB for'):
        host.need_space(places.root / 'not/yet/there', 999_999_999, 'the environment')


@pytest.mark.parametrize('version', [(3, 9), (3, 14), (4, 0)])
def test_an_unsupported_python_is_refused(monkeypatch, version):
    monkeypatch.setattr(sys, 'version_info', (*version, 0))
    with pytest.raises(SetupError, match=r'expected 3\.10 to 3\.13'):
        host.check_python()


def test_an_old_c_library_is_refused(monkeypatch):
    monkeypatch.setattr(host.platform, 'libc_ver', lambda: ('glibc', '2.27'))
    with pytest.raises(SetupError, match=r'C library: glibc 2.27; expected glibc 2.28'):
        host.check_python()


def installation(tmp_path: Path) -> dict[str, str]:
    prefix = tmp_path / 'opt/ros/jazzy'
    (prefix / 'share/rclpy').mkdir(parents=True)
    (prefix / 'share/rclpy/package.xml').write_text('<package/>')
    (prefix / 'setup.sh').write_text('ROS_DISTRO=jazzy; export ROS_DISTRO\n')
    return {'ROS_DISTRO': 'jazzy', 'AMENT_PREFIX_PATH': f'/home/me/install:{prefix}'}


def test_ros_is_the_installation_that_is_sourced(tmp_path):
    environ = installation(tmp_path)
    ros = choose_ros(environ, '')
    assert (ros.distro, ros.from_wheels) == ('jazzy', False)
    assert choose_ros({}, str(ros)) == ros, 'a later shell without it keeps it'


def test_ros_comes_from_wheels_where_none_is_sourced():
    assert choose_ros({}, '') == Ros('kilted')
    assert choose_ros({'VA_ROS_WHEELS': 'jazzy'}, '') == Ros('jazzy')
    assert choose_ros({}, 'jazzy /opt/ros/removed') == Ros('kilted')


def test_our_own_environment_is_not_an_installation(places):
    venv = places.venv
    (venv / 'share/rclpy').mkdir(parents=True)
    (venv / 'share/rclpy/package.xml').write_text('<package/>')
    assert choose_ros({'ROS_DISTRO': 'kilted', 'AMENT_PREFIX_PATH': str(venv)}, '').from_wheels


def test_unknown_wheels_are_refused():
    with pytest.raises(SetupError, match='VA_ROS_WHEELS: rolling; expected jazzy or kilted'):
        choose_ros({'VA_ROS_WHEELS': 'rolling'}, '')


# System packages ---------------------------------------------------------------------------


@pytest.fixture
def lacking(monkeypatch):
    monkeypatch.setattr(system_packages, 'missing', lambda: ['cmake', 'libportaudio2'])
    monkeypatch.setattr(private_pulse, 'needed', lambda: False)


def test_who_may_not_install_is_shown_the_command(lacking, monkeypatch, places, console):
    monkeypatch.setattr(system_packages, 'administrator', lambda: None)
    with pytest.raises(SetupError) as error:
        system_packages.install(places, console)
    assert ('Run: sudo apt-get install --no-install-recommends cmake libportaudio2; '
            in str(error.value))


def test_without_apt_the_packages_are_named(lacking, monkeypatch, places, console):
    monkeypatch.setattr(system_packages.shutil, 'which', lambda name: None)
    with pytest.raises(SetupError, match='missing: cmake libportaudio2; expected them'):
        system_packages.install(places, console)


def test_nothing_is_installed_where_nothing_is_missing(monkeypatch, places, console):
    monkeypatch.setattr(system_packages, 'missing', lambda: [])
    monkeypatch.setattr(system_packages, 'apt_install', lambda *a: pytest.fail('installed'))
    system_packages.install(places, console)


def test_pipewire_is_never_replaced(monkeypatch, places, console):
    installed, unpacked = [], []
    monkeypatch.setattr(system_packages, 'missing', lambda: ['cmake', 'pulseaudio'])
    monkeypatch.setattr(private_pulse, 'needed', lambda: True)
    monkeypatch.setattr(private_pulse, 'dependencies', lambda: ['libltdl7'])
    monkeypatch.setattr(private_pulse, 'unpack', lambda *a: unpacked.append(True))
    monkeypatch.setattr(system_packages, 'apt_install', lambda names, c: installed.extend(names))
    system_packages.install(places, console)
    assert installed == ['cmake', 'libltdl7']
    assert unpacked


# The environment file and the wheels ---------------------------------------------------------


def source(places: Places, script: str) -> str:
    env_file.write(places, Ros('kilted'))
    return subprocess.run(
        ['bash', '-euc', f'. "{places.env_file}"; {script}'], capture_output=True, text=True,
        check=True, env={'PATH': '/usr/bin:/bin', 'LD_LIBRARY_PATH': '/before'}).stdout.strip()


def test_the_environment_file_puts_the_clone_first(places):
    assert source(places, 'echo "$PATH"').startswith(f'{places.venv}/bin:{places.private}/bin:')
    assert source(places, 'echo "$LD_LIBRARY_PATH"').endswith(':/before')


def test_sourcing_it_twice_changes_nothing(places):
    show = 'echo "$PATH $LD_LIBRARY_PATH $PYTHONPATH $AMENT_PREFIX_PATH"'
    assert source(places, show) == source(places, f'. "$VA_ROOT/.va/env.sh"; {show}')


def test_it_keeps_dds_and_the_hubs_out(places):
    shown = source(places, 'echo $ROS_AUTOMATIC_DISCOVERY_RANGE $HF_HUB_OFFLINE; '
                           'echo "$FASTDDS_DEFAULT_PROFILES_FILE"')
    assert shown == f'SYSTEM_DEFAULT 1\n{places.root}/config/dds_local.xml'


def test_wheels_are_mended_without_touching_the_shared_cache(tmp_path):
    cached = tmp_path / 'cache.cmake'
    builder = '/opt/python/cp312-cp312'
    text = (f'set(x "{builder}/include/python3.12;'
            f'{builder}/lib/python3.12/site-packages/numpy/_core/include")\n')
    cached.write_text(text)
    target = tmp_path / 'venv/share/std_msgs/cmake/export.cmake'
    target.parent.mkdir(parents=True)
    target.hardlink_to(cached)
    assert patch_ros_wheels.patch(tmp_path / 'venv', '/inc', '/numpy') == [
        'share/std_msgs/cmake/export.cmake']
    assert target.read_text() == 'set(x "/inc;/numpy")\n'
    assert cached.read_text() == text
    assert patch_ros_wheels.patch(tmp_path / 'venv', '/inc', '/numpy') == []


def test_a_build_depends_on_sources_and_not_on_tests(places):
    source_file = places.root / 'src/va_x/va_x/a.py'
    test_file = places.root / 'src/va_x/test/test_a.py'
    for path in (source_file, test_file):
        path.parent.mkdir(parents=True)
        path.write_text('1')
    before = workspace.key(places, 'environment')
    test_file.write_text('2')
    assert workspace.key(places, 'environment') == before
    source_file.write_text('2')
    assert workspace.key(places, 'environment') != before


def test_what_a_removed_file_has_left_is_taken_away(places):
    stamps = Stamps(places.private / 'stamps')
    module = places.root / 'src/va_x/va_x/a.py'
    module.parent.mkdir(parents=True)
    module.write_text('1')
    workspace.clear_stale(places, stamps, 'environment')
    for folder in (places.install, places.build / 'va_x', places.build / 'va_interfaces'):
        folder.mkdir(parents=True)
    workspace.clear_stale(places, stamps, 'environment')
    assert places.install.exists()
    module.unlink()
    workspace.clear_stale(places, stamps, 'environment')
    assert not places.install.exists()
    assert not (places.build / 'va_x').exists()
    assert (places.build / 'va_interfaces').exists(), 'the slow part is kept'


# Locks -------------------------------------------------------------------------------------

LOCKS = sorted((Path(__file__).resolve().parents[2] / 'requirements').glob('*.lock'))


@pytest.mark.parametrize('lock', LOCKS, ids=lambda path: path.stem)
def test_every_package_is_pinned_and_hashed(lock):
    text = lock.read_text()
    assert '://' not in text
    for entry in text.replace('\\\n', ' ').splitlines():
        name, _, rest = entry.partition('==')
        assert name and '--hash=sha256:' in rest, entry


def test_there_is_a_lock_for_every_list():
    assert {path.stem for path in LOCKS} == {
        path.stem for path in LOCKS[0].parent.glob('*.in')}
