# SPDX-License-Identifier: Apache-2.0
"""The fake server misbehaves as asked."""
import http.client
import json

import pytest

from faults.fake_ollama import ANSWER, FakeOllamaServer


@pytest.fixture
def fake():
    server = FakeOllamaServer()
    server.start()
    yield server
    server.stop()


def chat(fake, timeout_s=5.0, **options):
    wire = http.client.HTTPConnection('127.0.0.1', fake.port, timeout=timeout_s)
    wire.request('POST', '/api/chat', json.dumps({'options': options}))
    answer = wire.getresponse()
    try:
        return answer.status, [json.loads(line) for line in answer.read().splitlines()]
    finally:
        wire.close()


def test_a_whole_answer(fake):
    status, lines = chat(fake)
    assert status == 200
    assert ''.join(line['message']['content'] for line in lines) == ANSWER
    assert lines[-1]['done']


def test_an_error(fake):
    fake.script = 'error'
    assert chat(fake)[0] == 500


def test_a_cut_answer(fake):
    fake.script = 'cut'
    with pytest.raises(http.client.IncompleteRead):
        chat(fake)
    assert fake.broke_s > 0


def test_an_answer_that_hangs(fake):
    fake.script = 'hang'
    with pytest.raises(TimeoutError):
        chat(fake, timeout_s=0.3)


def test_the_probe_is_answered_even_then(fake):
    fake.script = 'hang'
    assert chat(fake, num_predict=1)[0] == 200


def test_a_stopped_server_refuses_and_can_come_back(fake):
    fake.stop()
    with pytest.raises(ConnectionRefusedError):
        chat(fake)
    fake.start()
    assert chat(fake)[0] == 200
