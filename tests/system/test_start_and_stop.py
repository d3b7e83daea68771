# SPDX-License-Identifier: Apache-2.0
"""Starts that must fail clearly, and ends in order. Each test has an assistant of its own."""
import signal

import pytest
from settings_of_tests import make_config, OTHER_DOMAIN, PORT_OFFSET, READY_S
from virtual_room.product import Product

from va_common.testing import wait_for

OTHER_PORTS = str(PORT_OFFSET + 100)


def make(tmp_path, room, domain=OTHER_DOMAIN, **changes):
    config = make_config(tmp_path, system__port_offset=OTHER_PORTS, **changes)
    return Product(config, room.environment() | {'ROS_DOMAIN_ID': domain}, tmp_path / 'out.log')


@pytest.fixture
def run(tmp_path, room):
    """Start an assistant with changed settings; it is gone after the test."""
    products = []

    def start(**changes):
        products.append(make(tmp_path, room, **changes))
        products[0].start()
        return products[0]
    yield start
    for product in products:
        product.kill()


@pytest.mark.parametrize(('changes', 'named'), [
    ({'kwd__confidence_threshold': '7'}, 'confidence_threshold'),
    ({'stt__silence_ms': 'soon'}, 'silence_ms'),
    ({'system__profile': 'gpu'}, 'profile'),
])
def test_a_wrong_value_starts_nothing(run, changes, named):
    product = run(**changes)
    assert product.process.wait(20) == 2
    lines = product.log.read_text()
    assert named in lines
    assert 'assistant.ini' in lines
    assert 'Traceback' not in lines
    assert not product.left_over(0.5)
    assert not (product.log.parent / 'log').exists()


def test_every_mistake_is_named_at_once(run):
    product = run(kwd__cooldown_ms='-5', tts__speed='fast')
    assert product.process.wait(20) == 2
    lines = product.log.read_text()
    assert 'cooldown_ms' in lines
    assert 'speed' in lines


def test_a_missing_model_is_named_with_its_mending(run, tmp_path, monkeypatch):
    monkeypatch.delenv('VA_MODELS_DIR', raising=False)  # it wins over the setting
    product = run(system__models_dir=str(tmp_path / 'nowhere'))
    assert product.process.wait(READY_S) not in (0, None)
    assert './va models' in product.log.read_text()


def test_an_unknown_device_is_fatal_with_a_reason(run):
    product = run(audio__output_device='no such speaker', loader__restart_backoff_ms='100')
    code = product.process.wait(READY_S)
    lines = product.log.read_text()
    assert code == 1
    assert 'no such speaker' in lines
    assert 'Traceback' not in lines
    assert not product.left_over()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_boots_ends_it_in_order(run, number):
    product = run()
    wait_for(
        lambda: len(product.processes()) >= 4 or not product.running, 30.0, 'nodes have started'
    )
    assert product.running, product.last_lines()
    product.process.send_signal(number)
    assert product.process.wait(15) == 0, product.last_lines(6)
    assert not product.left_over()


def test_killed_main_leaves_nothing(run):
    product = run()
    wait_for(
        lambda: len(product.processes()) >= 4 or not product.running, 30.0, 'nodes have started'
    )
    product.process.kill()
    product.process.wait(5)
    assert not product.left_over(15.0)
