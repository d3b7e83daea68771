# SPDX-License-Identifier: Apache-2.0
"""The modes by name, and how each system is started with the same models."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import sys

import numpy as np

from va_common.model_catalogue import model_path
from va_common.settings import SETTINGS
from va_llm.engine_factory import load_modelfile
from voice.systems import Assistant, Peer, Served, System

PEERS = Path(__file__).resolve().parent.parent / 'peers'


@dataclass(frozen=True)
class Place:
    """Where a mode runs."""

    out: Path
    port_offset: int
    ros_domain: int
    peers_python: Path
    """Of the environment with pipecat."""


PRODUCT = ('fixed', 'smart')
PIPECAT = ('pipecat', 'pipecat_fixed')
MODES = (*PRODUCT, 'baseline', *PIPECAT)
"""fixed and smart are the assistant's ``endpointing``; pipecat with its own Smart Turn, and with
the assistant's ``silence_ms``; baseline does one step after another."""


def make(mode: str, place: Place) -> System:
    """The system of a mode."""
    log = place.out / f'{mode}.log'
    log.unlink(missing_ok=True)
    if mode in PRODUCT:
        changes = {'stt.endpointing': mode, 'system.port_offset': str(place.port_offset)}
        return Assistant(place.out, changes, place.ros_domain)
    if mode == 'baseline':
        return Peer([sys.executable, str(PEERS / 'sequential.py')], log)
    turn = 'fixed' if mode == 'pipecat_fixed' else 'smart'
    return Served(
        [sys.executable, str(PEERS / 'llm_server.py')],
        [str(place.peers_python), str(PEERS / 'pipecat_peer.py'), '--turn', turn,
         '--settings', json.dumps(pipecat_settings(place.out))], log)


def default(section: str, key: str) -> object:
    """The default of a setting."""
    return next(s.default for s in SETTINGS if (s.section, s.key) == (section, key))


def pipecat_settings(out: Path) -> dict[str, object]:
    """The assistant's models and what its language model is told, for the peer."""
    voice = str(default('tts', 'voice'))
    style = np.fromfile(model_path('kokoro-voices', f'{voice}.bin'), '<f4').reshape(510, 1, 256)
    voices = out / 'voices.npz'
    np.savez(voices, allow_pickle=False, **{voice: style})
    modelfile = load_modelfile('')
    given = dict(modelfile.parameters)
    return {
        'whisper': str(model_path(f'whisper-{default("stt", "model_cpu")}')),
        'kokoro': str(model_path('kokoro-onnx', 'kokoro-v1.0.int8.onnx')),
        'voices': str(voices), 'voice': voice,
        'system': modelfile.system,
        'messages': [{'role': m.role, 'content': m.content} for m in modelfile.prefix
                     if m.role != 'system'],
        'max_tokens': given.get('num_predict', 200), 'temperature': given.get('temperature', 0.7),
        'top_p': given.get('top_p', 0.9),
        'silence_s': int(str(default('stt', 'silence_ms'))) / 1e3}
