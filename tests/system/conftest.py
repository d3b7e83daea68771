# SPDX-License-Identifier: Apache-2.0
"""One room and one running assistant for all system tests: booted once, stopped at the end."""
from collections.abc import Iterator
from pathlib import Path
import sys

import pytest

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent)]
from settings_of_tests import LINES, make_config, READY_S  # noqa: E402
from virtual_room.observer import Observer  # noqa: E402
from virtual_room.product import Product  # noqa: E402
from virtual_room.robot import Robot  # noqa: E402
from virtual_room.room import VirtualRoom  # noqa: E402
from virtual_room.room_process import RoomSettings  # noqa: E402
from virtual_room.script import VOICE  # noqa: E402
from virtual_room.voices import SyntheticUser, Voices  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts an assistant of its own, or wants the devices alone, comes first."""
    items.sort(key=lambda item: 'assistant' in getattr(item, 'fixturenames', ()))


@pytest.fixture(scope='session')
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualRoom]:
    with VirtualRoom(RoomSettings(out=str(tmp_path_factory.mktemp('room')))) as room:
        yield room


@pytest.fixture(scope='session')
def observer() -> Iterator[Observer]:
    with Observer() as observer:
        yield observer


@pytest.fixture(scope='session')
def user(room: VirtualRoom) -> SyntheticUser:
    voices = Voices()
    voices.prepare((text, VOICE) for text in LINES)
    return SyntheticUser(room, voices)


@pytest.fixture(scope='session')
def assistant(room: VirtualRoom, observer: Observer, user: SyntheticUser,
              tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The assistant, idle after its greeting."""
    folder = tmp_path_factory.mktemp('assistant')
    product = Product(make_config(folder), room.environment(), folder / 'output.log')
    product.start()
    try:
        ready = observer.wait(
            lambda e: e.topic == 'loader/state' and e.message.name in ('idle', 'fatal'), READY_S,
            alive=lambda: product.running)
        assert ready is not None and ready.message.name == 'idle', \
            f'not ready: {observer.state()}: {product.last_lines(8)}'
        yield product
        code = product.stop()
        assert code == 0, f'exit code {code}: {product.last_lines(8)}'
        assert not product.left_over()
    finally:
        product.kill()


@pytest.fixture(scope='session')
def robot(assistant: Product, observer: Observer) -> Iterator[Robot]:
    with Robot() as robot:
        yield robot


@pytest.fixture
def idle(assistant: Product, observer: Observer) -> int:
    """Wait until the assistant sleeps; returns the number of events so far."""
    mark = observer.mark()
    if observer.state() != 'idle':
        assert observer.wait(
            lambda e: e.topic == 'loader/state' and e.message.name == 'idle', 60.0, mark=mark,
        ), f'not idle but {observer.state()}'
    return observer.mark()
