# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
import threading
from xml.etree import ElementTree

import pytest

from va_common.config_files import config_file
from va_common.errors import AssistantError, error_of, ErrorCode
from va_common.ids import is_dialog_id, Latest, new_dialog_id, TurnKey
from va_common.local_only import apply
from va_common.profile import resolve
from va_common.progress import Progress
from va_common.retry_backoff import Backoff, RestartBudget
from va_common.ros_time import to_msg, to_seconds
from va_common.testing import FakeClock
from va_common.worker import Worker


def test_dialog_ids_sort_by_time():
    first, second = new_dialog_id(1e9, 'ffff'), new_dialog_id(1e9 + 1e-5, '0000')
    assert first < second
    assert is_dialog_id(first)
    assert not is_dialog_id('../etc/passwd')


def test_a_wrong_salt_is_refused():
    with pytest.raises(ValueError, match='four hexadecimal'):
        new_dialog_id(1e9, '../a')


def test_an_outdated_turn_is_dropped():
    latest = Latest()
    assert latest.offer(TurnKey('d2', 1))
    assert latest.offer(TurnKey('d2', 1, 1))
    assert not latest.offer(TurnKey('d2', 1, 0))
    assert not latest.offer(TurnKey('d1', 9, 9))
    assert latest.key == TurnKey('d2', 1, 1)


def test_times_survive_the_message():
    assert to_seconds(to_msg(1234567890.25)) == 1234567890.25
    assert to_seconds(to_msg(-1.0)) == 0.0


def test_backoff_repeats_its_last_delay():
    backoff = Backoff((1, 3, 5))
    assert [backoff.next() for _ in range(4)] == [1, 3, 5, 5]
    backoff.reset()
    assert backoff.next() == 1


def test_budget_is_per_window():
    budget = RestartBudget(limit=3, window_s=60)
    assert [budget.use(t) for t in (0, 1, 2, 59)] == [True, True, True, False]
    assert budget.use(60.5)


def test_progress_tells_a_busy_node_from_a_wedged_one():
    clock = FakeClock()
    progress = Progress(clock)
    assert not progress.stalled('frames', 1)
    progress.advance('frames', 5)
    clock.advance(2)
    assert progress.stalled('frames', 1)
    progress.advance('frames')
    assert not progress.stalled('frames', 1)
    assert progress.counts() == {'frames': 6}


def test_worker_runs_in_order_and_carries_errors():
    worker = Worker('test', 4)
    assert worker.submit(lambda: 7).result(5) == 7
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 / 0).result(5)
    worker.stop()
    with pytest.raises(AssistantError, match='has been stopped'):
        worker.submit(lambda: 0)


def test_worker_refuses_beyond_its_bound_and_cancels_on_stop():
    worker = Worker('test', 1)
    started, go_on = threading.Event(), threading.Event()
    running = worker.submit(lambda: (started.set(), go_on.wait(5)))
    assert started.wait(5)
    waiting = worker.submit(lambda: 0)
    with pytest.raises(AssistantError) as raised:
        worker.submit(lambda: 0)
    assert raised.value.code == ErrorCode.BUSY
    go_on.set()
    worker.stop()
    assert running.done()
    assert waiting.done()


def test_a_stuck_job_makes_stop_fail_in_time():
    worker = Worker('test', 1)
    started, go_on = threading.Event(), threading.Event()
    job = worker.submit(lambda: (started.set(), go_on.wait(5)))
    assert started.wait(5)
    with pytest.raises(AssistantError, match='still runs'):
        worker.stop(0.05)
    go_on.set()
    job.result(5)


def test_an_unforeseen_error_is_internal():
    assert error_of(KeyError('x')).code == ErrorCode.INTERNAL
    known = AssistantError(ErrorCode.DISK, 'full')
    assert error_of(known) is known


def test_a_wrong_profile_is_refused():
    assert resolve('cpu').name == 'cpu'
    with pytest.raises(AssistantError, match="'gpu': expected auto, cpu or cuda"):
        resolve('gpu')


def test_dds_is_kept_on_this_host_unless_opened():
    environ: dict[str, str] = {}
    apply('local', environ)
    assert environ['FASTDDS_DEFAULT_PROFILES_FILE'].endswith('dds_local.xml')
    assert environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'SYSTEM_DEFAULT'


def test_a_lost_word_of_who_is_there_is_repeated_soon():
    of_xml = {'dds': 'http://www.eprosima.com'}
    period = ElementTree.parse(config_file('dds_local.xml')).find(
        'dds:profiles/dds:participant/dds:rtps/dds:builtin/dds:discovery_config/'
        'dds:leaseAnnouncement', of_xml)
    assert period is not None, 'Fast DDS: every 3 s'
    sec, nanosec = (int(period.findtext(f'dds:{part}', '', of_xml)) for part in ('sec', 'nanosec'))
    assert 0.1 <= sec + nanosec * 1e-9 <= 0.5


def test_an_open_dds_takes_back_what_the_set_up_exported_and_uses_no_shared_memory():
    environ: dict[str, str] = {}
    apply('local', environ)
    apply('open', environ)
    assert environ == {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}


def test_a_profile_of_the_user_wins():
    environ = {'FASTDDS_DEFAULT_PROFILES_FILE': '/mine.xml'}
    apply('local', environ)
    apply('open', environ)
    assert environ == {'FASTDDS_DEFAULT_PROFILES_FILE': '/mine.xml'}


LARGE = """
import numpy as np
from va_common.memory import LARGE_BYTES, return_large_blocks
from va_common.testing import own_memory_mb
return_large_blocks()
np.ones(4 * LARGE_BYTES, np.uint8)  # freed: from now on glibc would take such from its heap
block = np.ones(3 * LARGE_BYTES, np.uint8)
behind_it = [bytes(60_000) for _ in range(50)]
before_mb = own_memory_mb()
del block
print(before_mb - own_memory_mb())
"""


def test_large_blocks_go_back_when_they_are_freed():
    done = subprocess.run(
        [sys.executable, '-c', LARGE], capture_output=True, text=True, timeout=60)
    assert float(done.stdout) > 11.0, done.stderr
