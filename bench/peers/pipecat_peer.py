# SPDX-License-Identifier: Apache-2.0
"""pipecat (BSD-2-Clause) as its documentation builds a local voice agent, with our models.

Runs in an environment of its own (``peers/requirements.lock``); nothing of the assistant is
imported. Microphone and speaker through pipecat's LocalAudioTransport, faster-whisper, an
OpenAI-style server, Kokoro ONNX, sentence by sentence. It has no echo canceller: pipecat's
AlwaysUserMuteStrategy keeps it from hearing itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.kokoro.tts import KokoroTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transports.local.audio import LocalAudioTransport, LocalAudioTransportParams
from pipecat.turns.user_mute import AlwaysUserMuteStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

VAD_STOP_S = 0.2
"""pipecat's default; a turn of fixed silence waits the rest with its own timer."""


def arguments() -> argparse.Namespace:
    """The command line, written by the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--llm', required=True, help='base URL')
    parser.add_argument('--turn', choices=('smart', 'fixed'), required=True)
    parser.add_argument('--settings', type=json.loads, required=True,
                        help='JSON, of voice.modes.pipecat_settings')
    return parser.parse_args()


def tell(event: str, **fields: object) -> None:
    """A line for the benchmark."""
    print(json.dumps({'event': event} | fields), flush=True)


def stages(settings: dict[str, Any], llm_url: str) -> tuple[Any, Any, Any]:
    """Recogniser, language model, voice."""
    stt = WhisperSTTService(device='cpu', compute_type='int8',
                            settings=WhisperSTTService.Settings(model=settings['whisper']))
    llm = OpenAILLMService(
        api_key='none', base_url=llm_url,
        settings=OpenAILLMService.Settings(
            model='local', temperature=settings['temperature'], top_p=settings['top_p'],
            max_tokens=settings['max_tokens'], system_instruction=settings['system']))
    tts = KokoroTTSService(
        model_path=settings['kokoro'], voices_path=settings['voices'],
        settings=KokoroTTSService.Settings(voice=settings['voice']))
    return stt, llm, tts


def user_params(turn: str, silence_s: float) -> LLMUserAggregatorParams:
    """How the end of the user's turn is found: pipecat's default Smart Turn v3, or silence."""
    stop = [SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=silence_s - VAD_STOP_S)]
    return LLMUserAggregatorParams(
        user_turn_strategies=UserTurnStrategies(stop=stop if turn == 'fixed' else None),
        user_mute_strategies=[AlwaysUserMuteStrategy()], vad_analyzer=SileroVADAnalyzer())


async def run(options: argparse.Namespace) -> None:
    """Answer until standard input ends."""
    settings = options.settings
    transport = LocalAudioTransport(LocalAudioTransportParams(
        audio_in_enabled=True, audio_out_enabled=True))
    stt, llm, tts = stages(settings, options.llm)
    context = LLMContext(list(settings['messages']))
    pair = LLMContextAggregatorPair(
        context, user_params=user_params(options.turn, settings['silence_s']))

    @pair.user().event_handler('on_user_turn_stopped')
    async def heard(aggregator: object, strategy: object, message: Any) -> None:
        tell('heard', text=message.content)

    @pair.assistant().event_handler('on_assistant_turn_stopped')
    async def replied(aggregator: object, message: Any) -> None:
        tell('reply', text=message.content)

    worker = PipelineWorker(
        Pipeline([transport.input(), stt, pair.user(), llm, tts, transport.output(),
                  pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=24000),
        idle_timeout_secs=None)

    @worker.event_handler('on_pipeline_started')
    async def started(worker: object, frame: object) -> None:
        await warm_up(llm, tts, settings['messages'])
        tell('ready')

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    obeying = asyncio.create_task(obey(runner, context, settings['messages']))
    await runner.run()
    obeying.cancel()


async def warm_up(llm: Any, tts: Any, messages: list[Any]) -> None:
    """One answer and one sentence, as the others do before they count as ready."""
    await llm.run_inference(LLMContext([*messages, {'role': 'user', 'content': 'Hello!'}]))
    async for _ in tts._kokoro.create_stream('Hello.', voice=tts._settings.voice, lang='en-us'):
        continue


async def obey(runner: WorkerRunner, context: LLMContext, messages: list[Any]) -> None:
    """``new`` forgets what was said; the end of the input ends the agent."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == 'new':
            context.set_messages(list(messages))
    await runner.cancel()


def main() -> int:
    """Run the agent."""
    options = arguments()
    logger.remove()
    logger.add(sys.stderr, level='DEBUG')
    asyncio.run(run(options))
    return 0


if __name__ == '__main__':
    sys.exit(main())
