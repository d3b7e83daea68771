# SPDX-License-Identifier: Apache-2.0
"""The ROS node ``/loader``: topics to events, state and reports to topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import random
import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from va_common import qos
from va_common.errors import AssistantError
from va_common.log_places import log_folder
from va_common.logging_client import LoggingClient
from va_common.node_log import NodeLog
from va_common.node_settings import declare_settings, NodeSettings
from va_common.ros_time import to_msg
from va_interfaces.msg import PlaybackEvent, ReplyChunk, Transcript, Wake
from va_interfaces.msg import TurnReport as TurnReportMessage
from va_loader import messages
from va_loader.dialog_events import DialogRules, Event, RulesChanged, WakeHeard
from va_loader.state_board import StateBoard
from va_loader.state_publisher import StatePublisher
from va_loader.turn_report import TurnReport
from va_loader.unclosed_dialog import find_unclosed

_OWN_FRAME = 'loader'
"""Marks a wake that this node published itself, for others to see."""


class LoaderNode(Node):  # type: ignore[misc]
    """Adapts the loader to ROS.

    Args:
        profile: name of the profile in force, for the state.
        outside: settings by ``section.key``, for those of other sections that the dialog follows.
        values: further values for /diagnostics.
        node_arguments: passed on to :class:`rclpy.node.Node`.
    """

    def __init__(self, profile: str, outside: Mapping[str, Any],
                 values: Callable[[], Mapping[str, str]], **node_arguments: Any) -> None:
        super().__init__('loader', **node_arguments)
        self.settings = NodeSettings(self, declare_settings(self, 'loader', ('system',)))
        self.logging_client = LoggingClient(self, 'loader')
        self.log = NodeLog(self, self.logging_client, str(self.settings['system.log_level']))
        self._outside = outside
        self._post: Callable[[Event], None] = _nobody
        self._random = random.SystemRandom()
        self.board = StateBoard(profile, lambda snapshot: self._states.publish(snapshot))
        self._states = StatePublisher(self, lambda: self.board.snapshot, values)
        self._states.publish(self.board.snapshot)
        self._reports = self.create_publisher(TurnReportMessage, 'loader/turn_report', qos.EVENTS)
        self._wakes = self.create_publisher(Wake, 'kwd/wake', qos.EVENTS)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    def listen(self, post: Callable[[Event], None]) -> None:
        """Begin to turn messages into events; a dialog that was cut off before is closed."""
        self._close_cut_dialog()
        self._post = post
        sources: tuple[tuple[type, str, Callable[[Any], Event | None]], ...] = (
            (Wake, 'kwd/wake', self._wake_of_others),
            (Transcript, 'stt/transcript', messages.speech),
            (ReplyChunk, 'llm/chunk', messages.reply_piece),
            (PlaybackEvent, 'tts/playback', messages.playback))
        for kind, topic, convert in sources:
            self.create_subscription(kind, topic, self._taker(topic, convert), qos.EVENTS)

    def rules(self) -> DialogRules:
        """The dialog's rules as the settings say now."""
        return DialogRules(
            ack_delay_s=_seconds(self.settings['ack_delay_ms']),
            follow_up_s=_seconds(self.settings['follow_up_ms']),
            thinking_timeout_s=_seconds(self.settings['thinking_timeout_ms']),
            no_speech_timeout_s=_seconds(self._outside['stt.no_speech_timeout_ms']),
            max_utterance_s=_seconds(self._outside['stt.max_utterance_ms']),
            apologies=tuple(self.settings['apology_phrases']),  # type: ignore[arg-type]
            patience=tuple(self.settings['patience_phrases']),  # type: ignore[arg-type]
            barge_in=bool(self.settings['barge_in'] and self._outside['stt.aec_enabled']),
            resume_s=_seconds(self.settings['barge_in_resume_ms']),
            stop_phrases=tuple(self.settings['stop_phrases']))  # type: ignore[arg-type]

    def choose(self, phrases: Any) -> str:
        """Draw one of several phrases."""
        return str(self._random.choice(phrases))

    def draw_acknowledgement(self) -> str:
        """One of ``[kwd] yes_phrases``, for push-to-talk."""
        phrases = self._outside['kwd.yes_phrases']
        return self.choose(phrases) if phrases else ''

    def salt(self) -> str:
        """Four hexadecimal digits."""
        return f'{self._random.getrandbits(16):04x}'

    def publish_wake(self, event: WakeHeard) -> None:
        """Let others see a push-to-talk."""
        message = Wake(
            source=Wake.SOURCE_PUSH_TO_TALK, acknowledgement=event.acknowledgement, score=1.0,
            word_end=to_msg(event.word_end_s))
        message.header.stamp = to_msg(event.stamp_s)
        message.header.frame_id = _OWN_FRAME
        self._wakes.publish(message)

    def publish_report(self, report: TurnReport) -> None:
        """Publish the stage times of a turn."""
        message = messages.report_message(report)
        message.header.stamp = to_msg(time.time())
        self._reports.publish(message)

    def executor_turns(self) -> int:
        """Advances once a second while the executor is well."""
        return self._states.turns

    def close(self, end_spinning: Callable[[], None] = lambda: None) -> None:
        """Deliver the log, have the spinning ended, and end."""
        self.logging_client.close(1.0)
        end_spinning()
        self.destroy_node()

    def _close_cut_dialog(self) -> None:
        """The loader before this one died in a dialog: let its record say so."""
        folder = log_folder(str(self._outside['logger.log_dir']), self.get_namespace())
        key = find_unclosed(folder / 'dialogs')
        if key is not None:
            self.logging_client.dialog(
                key.dialog_id, key.turn, 'EVENT', 'dialog_end', {'reason': 'the loader died'},
                record_id='loader-died')

    def _wake_of_others(self, message: Wake) -> WakeHeard | None:
        return None if message.header.frame_id == _OWN_FRAME else messages.wake_heard(message)

    def _taker(self, topic: str, convert: Callable[[Any], Event | None]) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            try:
                event = convert(message)
            except AssistantError as error:
                self.log.warning(f'{topic}: message refused: {error.message}')
                return
            if event is not None:
                self._post(event)
        return take

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        problem = self.settings.problem_with(parameters)
        return SetParametersResult(successful=problem is None, reason=problem or '')

    def _apply_parameters(self, parameters: list[Parameter]) -> None:
        if list(self.settings.take(parameters)):
            self._post(RulesChanged(self.rules()))


def _seconds(milliseconds: Any) -> float:
    return float(milliseconds) / 1000.0


def _nobody(event: Event) -> None:
    """Before :meth:`LoaderNode.listen` there is nobody to tell."""
