# SPDX-License-Identifier: Apache-2.0
"""``./va bench soak``: many turns with one assistant: does it grow, does it slow down?

A user asks question after question in the virtual room, in real time: the sound devices, the
clocks and the voice detector are what is under test. Only the silence that ends a turn is shorter.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import shutil
import threading
from typing import Any

from command_line import add_place, carry_out, EndedEarly, make_parser, Measured, whole
from idle import name_of

PER_DIALOG = 8
SILENCE_MS = 700
NEAR_S = 1.0
"""By so much the ends of one speech may differ: no two questions of a user are as near."""
COMPARED = 0.1
"""The share of the turns, or of the samples of memory, at each end that is compared."""


def main(argv: list[str]) -> int:
    """Measure, tell and write; 1 when the assistant did not last."""
    parser = make_parser('soak', __doc__)
    parser.add_argument('--turns', type=whole(1, 100_000), default=200, metavar='N',
                        help='questions (%(default)s)')
    add_place(parser)
    options = parser.parse_args(argv)
    return carry_out('soak', argv, options.out, lambda: _measure(options))


def growth(values: Sequence[float]) -> tuple[float, float]:
    """Medians of the first and last values; the very first of many is left out, it warms up.

    Raises ValueError without values.
    """
    import numpy as np

    if not values:
        raise ValueError('no values: expected at least one')
    settled = values[1:] if len(values) > 2 else values
    count = max(1, round(len(settled) * COMPARED))
    return float(np.median(settled[:count])), float(np.median(settled[-count:]))


def _measure(options: argparse.Namespace) -> Measured:
    from virtual_room.room import VirtualRoom
    from virtual_room.room_process import RoomSettings
    from virtual_room.voices import Voices
    from voice.ears import Ears, NotComing
    from voice.reports import records
    from voice.systems import Assistant
    from voice.talk import Talk
    from voice.texts import script, WAKE

    folder = options.out / 'soak'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dialogs = script(options.turns, PER_DIALOG)
    voices = Voices(tell=print)
    voices.prepare((text, voice) for voice, asked in dialogs for text in (WAKE, *asked))
    assistant = Assistant(folder, {
        'system.port_offset': str(options.port_offset), 'stt.silence_ms': str(SILENCE_MS)},
        options.ros_domain)
    memory: list[dict[str, float]] = []
    with VirtualRoom(RoomSettings(out=str(folder))) as room, \
            Watcher(options.ros_domain) as watcher:
        ears = Ears(room.speaker_wav, assistant.problem)
        talk = Talk(room, assistant, ears, voices, lambda line: print(line, flush=True),
                    watcher.wait_over)
        try:
            assistant.start(room.environment())
            assistant.wait_ready(ears)
            assert assistant.product is not None
            with EndedEarly() as early:
                for dialog in dialogs:
                    talk.hold([dialog])
                    memory.append(pss_by_process(assistant.product.processes()))
        finally:
            assistant.stop()
    early.require(memory)
    latency = [record['data'] for record in records(assistant.log_dir, 'LATENCY')]
    if not any(data.get('first_token') for data in latency):
        raise NotComing('not one question was answered')
    figures = figures_of(memory, latency, watcher)
    return Measured({'soak': ('soak', figures)}, {
        'n': f'{figures["turns"]} of {options.turns} turns', 'silence_ms': SILENCE_MS},
        early.reason)


def figures_of(memory: list[dict[str, float]], latency: list[dict[str, Any]], seen: Watcher
               ) -> dict[str, Any]:
    """What the contract names, with what it is made of.

    Args:
        memory: MB of each process after each dialog.
        latency: data of the turns' latency records, in order.
    """
    # Not from the final text: the answer may have been begun before it.
    tokens = [data['first_token'] - data['speech_end'] for data in latency
              if data.get('first_token') and data.get('speech_end')]
    together = [sum(each.values()) for each in memory]
    first_mb, last_mb = growth(together)
    first_s, last_s = growth(tokens)
    return {
        'turns': sum(data.get('outcome') == 'answered' for data in latency),
        'pss_growth_mb': round(last_mb - first_mb, 1),
        'first_token_growth': round(last_s / first_s, 2) if first_s > 0 else None,
        'missed_audio': seen.missing + seen.missed_blocks,
        'soak_detail': {'pss_mb': [round(value, 1) for value in together],
                        'pss_mb_by_process': {
                            name: [round(each.get(name, 0.0), 1) for each in memory]
                            for name in memory[-1]},
                        'first_token_ms': [round(value * 1e3) for value in tokens],
                        'chunks': seen.count, 'chunks_missing': seen.missing,
                        'blocks_missed': seen.missed_blocks}}


def pss_by_process(processes: Sequence[Any]) -> dict[str, float]:
    """As :func:`pss_mb`, by what :func:`idle.name_of` calls them."""
    import psutil

    found: dict[str, float] = {}
    for process in processes:
        try:
            name = name_of(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        found[name] = found.get(name, 0.0) + pss_mb([process])
    return found


def pss_mb(processes: Sequence[Any]) -> float:
    """Proportional set size of some psutil processes, MB; one that ends meanwhile counts 0."""
    import psutil

    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


class Watcher:
    """Counts chunks of /stt/audio that did not come and what stt says it missed; sees turns end.

    Context manager with a node and a thread of its own.
    """

    def __init__(self, ros_domain: int) -> None:
        self._domain = ros_domain
        self._last: int | None = None
        self.count = 0
        self.missing = 0
        self.missed_blocks = 0
        """Of the microphone, by stt's diagnostics."""
        self._reported = threading.Condition()
        self._over_until_s = 0.0

    def __enter__(self) -> Watcher:
        """Begin to listen."""
        from diagnostic_msgs.msg import DiagnosticArray
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        from va_common import local_only, qos
        from va_interfaces.msg import AudioChunk, TurnReport

        local_only.apply()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self._domain)
        node = Node('soak_watcher', context=self._context)
        node.create_subscription(AudioChunk, 'stt/audio', self._on_chunk, qos.AUDIO)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 50)
        node.create_subscription(TurnReport, 'loader/turn_report', self._on_report, qos.EVENTS)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, name='soak', daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End node and thread."""
        self._executor.shutdown(2.0)
        self._thread.join(5.0)
        self._context.try_shutdown()

    def wait_over(self, said_s: float, timeout_s: float) -> bool:
        """Wait for the end of the turn with the speech that ended then.

        Args:
            said_s: Unix time.

        Returns:
            False when the time is up.
        """
        with self._reported:
            return self._reported.wait_for(
                lambda: self._over_until_s > said_s - NEAR_S, timeout_s)

    def report(self, speech_end_s: float) -> None:
        """Note the end of a turn."""
        with self._reported:
            self._over_until_s = max(self._over_until_s, speech_end_s)
            self._reported.notify_all()

    def _on_report(self, message: Any) -> None:
        end = message.speech_end
        self.report(end.sec + end.nanosec * 1e-9)

    def _on_chunk(self, message: Any) -> None:
        self.take(message.sequence)

    def take(self, sequence: int) -> None:
        """Note the number of a chunk; numbers that go back are those of a restarted stt."""
        if self._last is not None:
            self.missing += max(0, sequence - self._last - 1)
        self._last = sequence
        self.count += 1

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            for pair in status.values:
                if pair.key == 'missed_blocks':
                    self.missed_blocks = max(self.missed_blocks, int(pair.value))
