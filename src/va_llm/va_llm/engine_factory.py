# SPDX-License-Identifier: Apache-2.0
"""Builds the engine that was chosen; only that one's library is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
import os
from pathlib import Path

from va_common.config_files import config_file
from va_common.model_catalogue import model_path, models_dir
from va_llm.engine import Deadlines, TextEngine
from va_llm.modelfile_loader import load, Modelfile


@dataclass(frozen=True)
class OllamaSettings:
    """How to reach an Ollama server."""

    url: str = 'http://127.0.0.1:11434'
    model: str = ''
    """Empty: the Modelfile's FROM."""
    keep_alive: str = '-1'
    """How long the model stays loaded after an answer: seconds, 30m, or -1 for ever."""
    load_s: float = 120.0
    """Deadline for finding or making the model."""
    allow_remote: bool = False
    """Whether the server may be another host."""


@dataclass(frozen=True)
class LlamaCppSettings:
    """What llama.cpp loads."""

    model: str = 'smollm2-135m-instruct'
    """An id of the catalogue or the path of a .gguf; empty: the Modelfile's FROM."""
    models_dir: str = ''
    """The setting ``[system] models_dir``."""
    threads: int = 2
    context_tokens: int = 2048
    cache: Path | None = None
    """Folder for the state of the prompt; None: it is not kept."""


@dataclass(frozen=True)
class EngineSettings:
    """Settings of all engines; the one that is built takes its own."""

    ollama: OllamaSettings = field(default_factory=OllamaSettings)
    llama_cpp: LlamaCppSettings = field(default_factory=LlamaCppSettings)


def build_engine(kind: str, modelfile: Modelfile, settings: EngineSettings,
                 deadlines: Deadlines) -> TextEngine:
    """Load an engine; slow.

    Args:
        kind: what :func:`va_llm.engine.choose_engine` returned.

    Raises:
        AssistantError: as the engine says.
    """
    if kind == 'ollama':
        from va_llm.ollama_client import OllamaEngine

        return OllamaEngine(modelfile, settings.ollama, deadlines)
    from va_llm.llama_cpp_engine import LlamaCppEngine

    chosen = settings.llama_cpp
    path = gguf_path(chosen.model, chosen.models_dir, modelfile)
    threads = usable_threads(chosen.threads, os.cpu_count())
    return LlamaCppEngine(path, modelfile, threads, chosen.context_tokens, chosen.cache)


def load_modelfile(setting: str) -> Modelfile:
    """The Modelfile of the setting; empty: ``config/Modelfile``.

    Raises:
        ModelfileError: it has mistakes.
        AssistantError: UNAVAILABLE when there is none.
    """
    return load(Path(setting).expanduser() if setting else config_file('Modelfile'))


def gguf_path(model: str, models_setting: str, modelfile: Modelfile) -> Path:
    """The file llama.cpp loads: a path, or the .gguf of a model of the catalogue.

    Raises:
        ModelMissingError: the catalogue knows it but it has not been fetched.
        AssistantError: INVALID_ARGUMENT for an unknown model.
    """
    if not model:
        model = modelfile.base
        if model.endswith('.gguf'):
            return modelfile.resolve(model)
    if model.endswith('.gguf'):
        return Path(model).expanduser()
    folder = model_path(model, root=models_dir(models_setting))
    return sorted(folder.glob('*.gguf'))[0]


def usable_threads(setting: int, cores: int | None) -> int:
    """Threads for llama.cpp: the setting, but no more than half of the cores.

    Its threads wait for each other after every operation by spinning. When speech synthesis or
    anything else takes one core, all of them stand still: on two busy cores two threads were ten
    times slower than one.
    """
    return max(1, min(setting, (cores or 1) // 2))
