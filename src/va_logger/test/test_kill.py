# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a real logger at random moments: nothing acknowledged is missing or twice."""

from collections import Counter
import json
import os
import random
import signal
import subprocess
import sys
import threading

import pytest
from rclpy.node import Node

from va_common.logging_client import LoggingClient
from va_common.testing import ros_context, spin

WRITER = """
import os
import sys
from pathlib import Path
from va_logger.dialog_log_manager import DialogLogManager
from va_logger.dialog_record import check_record

dialogs = DialogLogManager(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    # Long ones too: a kill can tear a write of many pages.
    text = 'x' * (200_000 if number % 7 == 0 else 200)
    sequence = dialogs.write('d1', check_record(f'r{number}', 1, 'USER', text, '', 1.0))
    os.write(1, b'%d %d\\n' % (number, sequence))  # whole, or not at all
    number += 1
"""


def _records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_killed_writer_of_files(tmp_path):
    chance = random.Random(1)
    acknowledged = {}
    for _ in range(15):
        # The client sends what was not acknowledged again, then goes on.
        process = subprocess.Popen(
            [sys.executable, '-c', WRITER, str(tmp_path), str(len(acknowledged) + 1)],
            stdout=subprocess.PIPE, text=True)
        for _ in range(chance.randint(1, 40)):
            number, sequence = map(int, process.stdout.readline().split())
            acknowledged[number] = sequence
        threading.Event().wait(chance.random() * 0.003)  # a random moment, not a wait for anything
        process.kill()
        for line in process.stdout.read().splitlines():
            number, sequence = map(int, line.split())
            acknowledged[number] = sequence
        process.stdout.close()
        process.wait(10)
    content = (tmp_path / 'd1.jsonl').read_bytes()
    records = [json.loads(line) for line in content[:content.rfind(b'\n')].split(b'\n')]
    assert [record['sequence'] for record in records] == list(range(1, len(records) + 1))
    assert [record['record_id'] for record in records] == [
        f'r{number}' for number in range(1, len(records) + 1)]
    assert len(records) >= len(acknowledged) > 100
    assert acknowledged == {number: number for number in range(1, len(acknowledged) + 1)}


class LoggerProcess:
    """A real logger process that can be killed and started again."""

    def __init__(self, log_dir, errors):
        port_offset = 10_000 + os.getpid() % 4000
        self._command = [
            sys.executable, '-m', 'va_logger.main', '--ros-args', '-p', 'autostart:=true',
            '-p', f'log_dir:={log_dir}', '-p', f'system.port_offset:={port_offset}']
        self._environ = {**os.environ, 'VA_RUN_ID': 'the-run'}
        self._errors = errors
        self._process = None

    def start(self):
        with self._errors.open('a') as errors:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=errors, stderr=errors)

    def kill(self):
        self._process.kill()
        assert self._process.wait(10) == -signal.SIGKILL

    def stop(self):
        self._process.terminate()
        return self._process.wait(20)


@pytest.fixture
def logger(tmp_path):
    logger = LoggerProcess(tmp_path / 'log', tmp_path / 'errors.txt')
    logger.start()
    yield logger
    if logger._process.poll() is None:
        logger.kill()


def test_a_killed_logger_process(logger, tmp_path):
    check_kills(logger, tmp_path, kills=3, per_round=120, chance=random.Random(2))


def check_kills(logger, tmp_path, kills, per_round, chance):
    """Write records and lines while the logger is killed, then look at what is on disk."""
    with ros_context() as context:
        node = Node('writer', context=context)
        client = LoggingClient(node, 'writer')
        dialog_id = client.new_dialog()
        outcomes = []
        with spin(node):
            for round_number in range(kills + 1):
                for number in range(per_round):
                    name = f'{round_number}-{number}'
                    outcomes.append(client.dialog(dialog_id, 1, 'USER', name, record_id=name))
                    client.app('INFO', f'line {name}')
                if round_number < kills:
                    enough = round_number * per_round + chance.randint(1, per_round - 1)
                    outcomes[enough - 1].result(60)
                    logger.kill()
                    logger.start()
            assert client.flush(40)
            client.close(1)
        node.destroy_node()
    assert logger.stop() == 0
    records = _records(tmp_path / 'log' / 'dialogs' / f'{dialog_id}.jsonl')
    names = [f'{r}-{n}' for r in range(kills + 1) for n in range(per_round)]
    assert [record['record_id'] for record in records] == names
    assert [record['sequence'] for record in records] == list(range(1, len(names) + 1))
    assert [outcome.result(0) for outcome in outcomes] == list(range(1, len(names) + 1))
    written = [line.split(' line ')[1] for line in
               (tmp_path / 'log' / 'app.log').read_text().splitlines()
               if ' INFO writer: line ' in line]
    assert Counter(written) == Counter(names)
    assert written == names
