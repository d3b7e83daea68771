# SPDX-License-Identifier: Apache-2.0
"""Moves one managed node through its lifecycle, and believes only the state it reads back."""

from __future__ import annotations

import asyncio

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from va_common.races import cancel
from va_loader.failures import NodeFailure
from va_loader.ros_bridge import call

READ_TIMEOUT_S = 1.0
POLL_S = 0.05
FIRST_ASK_S = 0.2
"""Pause between the first questions to a process."""
ASK_AGAIN_S = 2.0
"""A request that was lost (the node had only just appeared) is sent again after so long."""

_MOVING = (State.TRANSITION_STATE_CONFIGURING, State.TRANSITION_STATE_ACTIVATING,
           State.TRANSITION_STATE_DEACTIVATING, State.TRANSITION_STATE_CLEANINGUP,
           State.TRANSITION_STATE_ERRORPROCESSING)
_LABELS = {
    State.PRIMARY_STATE_UNCONFIGURED: 'unconfigured', State.PRIMARY_STATE_INACTIVE: 'inactive',
    State.PRIMARY_STATE_ACTIVE: 'active', State.PRIMARY_STATE_FINALIZED: 'finalized'}


class LifecycleClient:
    """The transitions of one node. The caller has the deadlines: every method may be cancelled.

    Args:
        node: whose executor carries the answers.
        name: of the managed node, relative to the namespace.
        group: callback group of the clients.
    """

    def __init__(self, node: Node, name: str, group: ReentrantCallbackGroup) -> None:
        self.name = name
        self._change = node.create_client(
            ChangeState, f'{name}/change_state', callback_group=group)
        self._get = node.create_client(GetState, f'{name}/get_state', callback_group=group)

    async def available(self) -> None:
        """Wait until the node answers; a mere trace of an earlier process is not enough.

        What is asked before DDS has connected the new process is lost, and an answer may take
        long: so it is asked often, and the first answer to any of it is waited for.
        """
        asked: set[asyncio.Future[GetState.Response]] = set()
        try:
            while not any(each.done() for each in asked):
                if self._get.service_is_ready() and self._change.service_is_ready():
                    asked.add(asyncio.ensure_future(
                        call(self._get, GetState.Request(), timeout_s=3600.0)))
                await _wait(asked, FIRST_ASK_S)
        finally:
            await cancel(*asked)

    async def configure(self) -> None:
        """To inactive. Raises NodeFailure when the node refuses."""
        if await self._read('configure') == State.PRIMARY_STATE_UNCONFIGURED:
            await self._move('configure', Transition.TRANSITION_CONFIGURE,
                             State.PRIMARY_STATE_INACTIVE)

    async def activate(self) -> None:
        """To active. Raises NodeFailure when the node refuses."""
        if await self._read('activate') != State.PRIMARY_STATE_ACTIVE:
            await self._move('activate', Transition.TRANSITION_ACTIVATE,
                             State.PRIMARY_STATE_ACTIVE)

    async def deactivate(self) -> None:
        """To inactive, if it is active. Raises NodeFailure when the node refuses."""
        if await self._read('deactivate') == State.PRIMARY_STATE_ACTIVE:
            await self._move('deactivate', Transition.TRANSITION_DEACTIVATE,
                             State.PRIMARY_STATE_INACTIVE)

    async def go_down(self) -> None:
        """To unconfigured, in two steps. Raises NodeFailure when the node refuses.

        A node that is on its way up is left alone: it cannot be moved before it has arrived, and
        its process is about to be ended.
        """
        state = await self._state()
        if state == State.PRIMARY_STATE_ACTIVE:
            await self.deactivate()
            state = State.PRIMARY_STATE_INACTIVE
        if state == State.PRIMARY_STATE_INACTIVE:
            await self._move('cleanup', Transition.TRANSITION_CLEANUP,
                             State.PRIMARY_STATE_UNCONFIGURED)

    async def _move(self, step: str, transition: int, goal: int) -> None:
        """Ask for a transition until the node is in ``goal`` or has refused."""
        request = ChangeState.Request(transition=Transition(id=transition))
        while True:
            asked = asyncio.ensure_future(call(self._change, request, timeout_s=3600.0))
            try:
                refused = await self._answered(asked)
            finally:
                asked.cancel()
            state = await self._read(step)
            if state == goal:
                return
            if refused:
                raise NodeFailure(self.name, step, f'refused, it is {_label(state)}')

    async def _answered(self, asked: asyncio.Future[ChangeState.Response]) -> bool:
        """Wait for the answer while the node is on its way.

        Returns:
            Whether it answered; False: it is not on its way, the request was lost.
        """
        while True:
            await asyncio.wait((asked,), timeout=ASK_AGAIN_S)
            if asked.done():
                return not asked.result().success
            if await self._state() not in (*_MOVING, None):
                return False

    async def _read(self, step: str) -> int:
        """The state, once the node says it and does not move."""
        while True:
            state = await self._state()
            if state is not None and state not in _MOVING:
                return state
            await asyncio.sleep(POLL_S)

    async def _state(self) -> int | None:
        try:
            answer = await call(self._get, GetState.Request(), READ_TIMEOUT_S)
        except asyncio.TimeoutError:
            return None
        return int(answer.current_state.id)


async def _wait(asked: set[asyncio.Future[GetState.Response]], timeout_s: float) -> None:
    """For one of them, or without any for so long."""
    if asked:
        await asyncio.wait(asked, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(timeout_s)


def _label(state: int) -> str:
    return _LABELS.get(state, f'in state {state}')
