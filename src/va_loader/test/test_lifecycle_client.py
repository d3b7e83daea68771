# SPDX-License-Identifier: Apache-2.0
"""The first contact with a process, in virtual time; the rest is tested with real nodes."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import pytest
from rclpy.callback_groups import ReentrantCallbackGroup

from va_loader.lifecycle_client import LifecycleClient


class FakeClient:
    """Loses what it is asked before it is connected; answers the rest after a while."""

    def __init__(self, connected_s, takes_s):
        self.connected_s, self.takes_s = connected_s, takes_s
        self.asked, self.forgotten = 0, 0

    def service_is_ready(self):
        return True  # the process that was killed before has left a trace

    def call_async(self, request):
        self.asked += 1
        pending = Future()
        loop = asyncio.get_running_loop()
        if loop.time() >= self.connected_s:
            answer = GetState.Response(
                current_state=State(id=State.PRIMARY_STATE_UNCONFIGURED))
            loop.call_later(self.takes_s, pending.set_result, answer)
        return pending

    def remove_pending_request(self, pending):
        self.forgotten += 1


def available_after(run, fake, limit_s=3600.0):
    node = SimpleNamespace(create_client=lambda *_, **__: fake)
    client = LifecycleClient(node, 'tts', ReentrantCallbackGroup())

    async def live():
        await asyncio.wait_for(client.available(), limit_s)
        return asyncio.get_running_loop().time()
    return run(live())


@pytest.mark.parametrize(('connected_s', 'takes_s', 'at_most_s'), [
    (0.0, 0.01, 0.02),
    (0.5, 0.01, 0.75),
    (2.9, 0.01, 3.15),
    (0.0, 5.0, 5.01),
    (0.5, 5.0, 5.75),
])
def test_questions_that_get_lost_cost_little_and_slow_answers_count(
        run, connected_s, takes_s, at_most_s):
    fake = FakeClient(connected_s, takes_s)
    assert connected_s + takes_s <= available_after(run, fake) <= at_most_s
    assert fake.forgotten == fake.asked - 1, 'questions are left behind'


def test_a_process_that_never_answers_leaves_no_question_behind(run):
    fake = FakeClient(1e9, 0.0)
    with pytest.raises(asyncio.TimeoutError):
        available_after(run, fake, 10.0)
    assert 40 <= fake.asked <= 60
    assert fake.forgotten == fake.asked
