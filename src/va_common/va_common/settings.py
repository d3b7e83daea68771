# SPDX-License-Identifier: Apache-2.0
"""Every setting: the one table behind the ini file, the ROS parameters and the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SettingValue = bool | int | float | str | tuple[int, ...] | tuple[str, ...]
Kind = Literal['bool', 'int', 'float', 'str', 'int_list', 'str_list']

SECTIONS = ('system', 'loader', 'kwd', 'stt', 'llm', 'tts', 'logger', 'audio')


@dataclass(frozen=True)
class Setting:
    """One key of ``assistant.ini``."""

    section: str
    key: str
    kind: Kind
    default: SettingValue
    description: str
    minimum: float | None = None
    """Smallest value; of each element for ``int_list``."""
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    """Allowed texts for ``str``; empty: any."""
    live: bool = False
    """Whether ``ros2 param set`` takes effect at once; else at the next configure."""

    @property
    def name(self) -> str:
        """``section.key``, unique."""
        return f'{self.section}.{self.key}'

    @property
    def expected(self) -> str:
        """What a value must be, for a person."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        words = {
            'bool': 'true or false', 'int': 'a whole number', 'float': 'a number', 'str': 'text',
            'int_list': 'whole numbers separated by commas',
            'str_list': 'texts separated by semicolons',
        }[self.kind]
        if self.minimum is None:
            return words
        return f'{words} from {self.minimum:.12g} to {self.maximum:.12g}'


def _s(section: str, key: str, kind: Kind, default: SettingValue, description: str,
       span: tuple[float, float] | None = None, choices: tuple[str, ...] = (),
       live: bool = False) -> Setting:
    low, high = span if span else (None, None)
    return Setting(section, key, kind, default, description, low, high, choices, live)


SETTINGS: tuple[Setting, ...] = (
    _s('system', 'profile', 'str', 'auto',
       'cuda (whisper, Kokoro on the GPU, Ollama), cpu (all embedded), or auto',
       choices=('auto', 'cpu', 'cuda')),
    _s('system', 'min_vram_mb', 'int', 8000,
       'free video memory in MiB wanted at boot and before each later phase', (0, 1_000_000)),
    _s('system', 'models_dir', 'str', '',
       'folder of the models; empty: $VA_MODELS_DIR, else ~/.local/share/va/models'),
    _s('system', 'port_offset', 'int', 0,
       'added to the gRPC health ports 5001-5006, for several assistants on one host', (0, 60000)),
    _s('system', 'dds', 'str', 'local',
       'local: nothing but loopback; open: other hosts may join (see docs)',
       choices=('local', 'open')),
    _s('system', 'log_level', 'str', 'info', 'least severe lines that are logged',
       choices=('debug', 'info', 'warning', 'error')),

    _s('loader', 'startup_mode', 'str', 'phased_parallel',
       'phased_parallel, or sequential: one node after another',
       choices=('phased_parallel', 'sequential')),
    _s('loader', 'parallel_phase_timeout_ms', 'int', 8000,
       'how long tts and llm together may take until both are SERVING', (1000, 600_000)),
    _s('loader', 'phase_timeout_ms', 'int', 30_000,
       'how long a node of any other phase may take until it is SERVING', (1000, 600_000)),
    _s('loader', 'restart_backoff_ms', 'int_list', (1000, 3000, 5000),
       'pauses before the retries of a phase or the restarts of a node', (0, 600_000)),
    _s('loader', 'restart_limit', 'int', 3,
       'restarts of one node within 60 s; one more is fatal', (0, 100)),
    _s('loader', 'health_interval_ms', 'int', 2000, 'how often each node is asked for its health',
       (100, 60_000)),
    _s('loader', 'audio_device_probe', 'str', 'strict',
       'strict: the output device must work before the microphone is opened; warn: log only; off',
       choices=('strict', 'warn', 'off')),
    _s('loader', 'gpu_mem_min_mb', 'int', 8000,
       'free video memory in MiB below which phase 1 starts tts before llm', (0, 1_000_000)),
    _s('loader', 'follow_up_ms', 'int', 4000,
       'how long the user may begin the next turn without the wake word; 0: never', (0, 60_000),
       live=True),
    _s('loader', 'ack_delay_ms', 'int', 350,
       'pause after the wake word before it is acknowledged; speech in it means one breath, '
       'and the first sign of it makes the acknowledgement wait', (0, 3000), live=True),
    _s('loader', 'barge_in', 'bool', True,
       'speaking over an answer stops it; false: only the wake word does (needs stt.aec_enabled)',
       live=True),
    _s('loader', 'barge_in_resume_ms', 'int', 3000,
       'an answer held because somebody seems to speak goes on after this time without words',
       (500, 4500), live=True),
    _s('loader', 'stop_phrases', 'str_list',
       ('stop', 'stop it', 'please stop', 'stop please', 'okay stop', 'stop talking', 'be quiet',
        'quiet', 'enough', "that's enough", 'never mind'),
       'said alone over an answer they end it; they are never answered',
       live=True),
    _s('loader', 'thinking_timeout_ms', 'int', 30_000,
       'how long a reply may take to begin before the assistant apologises', (1000, 600_000),
       live=True),
    _s('loader', 'greeting', 'str', 'Hi, Master!', 'spoken when everything is ready; empty: none'),
    _s('loader', 'apology_phrases', 'str_list',
       ('Sorry, something went wrong. Please ask again.',),
       'one is spoken when a turn fails'),
    _s('loader', 'patience_phrases', 'str_list', ('Sorry, one moment.',),
       'one is spoken when a part of the assistant failed and the answer follows all the same'),

    _s('kwd', 'wake_words', 'str_list', ('hey_jarvis',),
       'openWakeWord models, by name or path to .onnx, each with an own threshold if wanted '
       '(hey_jarvis:0.5)'),
    _s('kwd', 'confidence_threshold', 'float', 0.6, 'score from which a wake word counts',
       (0.0, 1.0), live=True),
    _s('kwd', 'cooldown_ms', 'int', 1000, 'one wake at most within this time', (0, 60_000),
       live=True),
    _s('kwd', 'second_check', 'bool', True,
       'a wake word counts only when all of its phrase was said (hey_jarvis: not a bare jarvis)',
       live=True),
    _s('kwd', 'yes_phrases', 'str_list', ('Yes?', 'Yes, Master?', 'Sup?', 'Yo'),
       'acknowledgements, one is drawn at random', live=True),
    _s('kwd', 'wake_clips', 'int', 0,
       'keep the sound around the newest so many wakes (3 s each, 96 kB), for tuning; 0: none',
       (0, 1000), live=True),
    _s('kwd', 'wake_clips_dir', 'str', '',
       'folder of that sound; empty: ~/.local/state/va/<namespace>/wakes'),

    _s('stt', 'aec_enabled', 'bool', True, 'cancel the echo of the own speaker'),
    _s('stt', 'aec_backend', 'str', 'webrtc_aec3', 'echo canceller', choices=('webrtc_aec3',)),
    _s('stt', 'noise_suppression', 'bool', False, "WebRTC's noise suppression after the AEC"),
    _s('stt', 'silence_ms', 'int', 2000, 'silence that ends a turn', (200, 10_000), live=True),
    _s('stt', 'endpointing', 'str', 'fixed',
       'fixed: a turn ends after silence_ms; smart: earlier when the sentence is complete',
       choices=('fixed', 'smart'), live=True),
    _s('stt', 'model', 'str', 'small.en', 'Whisper model of the cuda profile'),
    _s('stt', 'model_cpu', 'str', 'base', 'Whisper model of the cpu profile'),
    _s('stt', 'language', 'str', 'en', 'language that is spoken'),
    _s('stt', 'beam_size', 'int', 1, 'beams of the Whisper decoder', (1, 10)),
    _s('stt', 'vad_threshold', 'float', 0.5, 'voice probability from which a frame is speech',
       (0.05, 0.95), live=True),
    _s('stt', 'no_speech_timeout_ms', 'int', 8000,
       'a turn in which nobody speaks ends after this time', (500, 120_000), live=True),
    _s('stt', 'max_utterance_ms', 'int', 30_000, 'longest turn; then it ends by itself',
       (1000, 120_000)),
    _s('stt', 'partials', 'bool', True, 'publish partial texts while the user speaks', live=True),
    _s('stt', 'threads', 'int', 2, 'CPU threads of the recogniser', (1, 64)),

    _s('llm', 'engine', 'str', 'auto',
       'auto: ollama in the cuda profile, llama_cpp in the cpu profile',
       choices=('auto', 'ollama', 'llama_cpp')),
    _s('llm', 'modelfile', 'str', '',
       'path of the Ollama Modelfile; empty: config/Modelfile'),
    _s('llm', 'model', 'str', '', "model of Ollama; empty: the Modelfile's FROM"),
    _s('llm', 'model_cpu', 'str', 'smollm2-135m-instruct',
       "model of llama.cpp: an id of models.toml or a path to .gguf; empty: the Modelfile's FROM"),
    _s('llm', 'ollama_url', 'str', 'http://127.0.0.1:11434', 'address of the Ollama server'),
    _s('llm', 'ollama_allow_remote', 'bool', False,
       'ollama_url may be another host; what is said then leaves this machine'),
    _s('llm', 'keep_alive', 'str', '-1', 'how long Ollama keeps the model loaded; -1: for ever'),
    _s('llm', 'speculation', 'bool', True,
       'begin the answer in a pause of the user; it is heard if nothing more is said '
       '(needs stt.partials)', live=True),
    _s('llm', 'max_tokens', 'int', 200,
       "longest answer; the Modelfile's num_predict if that is less", (1, 8192), live=True),
    _s('llm', 'first_token_timeout_ms', 'int', 20_000, 'deadline for the first token',
       (500, 600_000), live=True),
    _s('llm', 'token_timeout_ms', 'int', 10_000, 'deadline between two tokens', (500, 600_000),
       live=True),
    _s('llm', 'history_turns', 'int', 8, 'turns of a dialog that are remembered', (0, 100)),
    _s('llm', 'context_tokens', 'int', 2048,
       "context window; the Modelfile's num_ctx goes before", (256, 131_072)),
    _s('llm', 'threads', 'int', 2,
       "CPU threads of llama.cpp, half of the cores at most; the Modelfile's num_thread precedes",
       (1, 64)),
    _s('llm', 'cache_dir', 'str', '',
       'folder of what llama.cpp has worked out of the prompt; empty: ~/.cache/va/llm'),
    _s('llm', 'probe_idle_s', 'int', 60,
       'the model is asked for one token after so long without a turn; 0: never', (0, 86_400),
       live=True),

    _s('tts', 'engine', 'str', 'auto',
       'auto: torch in the cuda profile, onnx in the cpu profile',
       choices=('auto', 'onnx', 'torch')),
    _s('tts', 'voice', 'str', 'af_heart', 'Kokoro voice', live=True),
    _s('tts', 'speed', 'float', 1.0, 'speaking rate', (0.5, 2.0), live=True),
    _s('tts', 'volume', 'float', 1.0, 'loudness, 1 is as synthesised', (0.0, 2.0), live=True),
    _s('tts', 'prepared_phrases', 'str_list', (),
       'phrases synthesised ahead; the loader fills in greeting, acknowledgements and apologies'),
    _s('tts', 'cache_dir', 'str', '',
       'folder of prepared sound and of the optimised model; empty: ~/.cache/va/tts'),
    _s('tts', 'ducking_db', 'float', 0.0, 'lowers everything by so many dB, for a program that '
       'wants the voice down for a while', (0.0, 60.0), live=True),
    _s('tts', 'stream_timeout_ms', 'int', 10_000,
       'a streamed text that brings nothing for so long has failed', (500, 600_000)),
    _s('tts', 'cache_mb', 'int', 50, 'size of the folder of prepared sound', (1, 10_000)),
    _s('tts', 'threads', 'int', 2, 'CPU threads of the synthesiser', (1, 64)),

    _s('logger', 'log_dir', 'str', '',
       'folder of application log and dialogs; empty: ~/.local/state/va/<namespace>/log'),
    _s('logger', 'max_bytes', 'int', 5_000_000, 'size at which the application log rotates',
       (10_000, 1_000_000_000)),
    _s('logger', 'backups', 'int', 3, 'rotated application logs that are kept', (1, 100)),
    _s('logger', 'retention_days', 'int', 30, 'dialogs older than this are deleted; 0: never',
       (0, 36_500)),

    _s('audio', 'input_device', 'str', '',
       'microphone, by (part of) its name; empty: the default'),
    _s('audio', 'output_device', 'str', '', 'speaker, by (part of) its name; empty: the default'),
    _s('audio', 'audio_source', 'str', 'device',
       'device, or topic: the microphone is the ROS topic audio/microphone',
       choices=('device', 'topic')),
    _s('audio', 'audio_sink', 'str', 'device',
       'device, or topic: the speaker is the ROS topic audio/speaker',
       choices=('device', 'topic')),
    _s('audio', 'input_rate', 'int', 16_000, 'sample rate asked of the microphone in Hz; '
       'resampled to 16 kHz', (8000, 192_000)),
    _s('audio', 'output_block_ms', 'int', 20,
       'how much sound the speaker takes at a time: smaller stops sooner, larger costs less CPU',
       (5, 100)),
    _s('audio', 'output_rate', 'int', 48_000, 'sample rate asked of the speaker in Hz',
       (8000, 192_000)),
)


def by_name() -> dict[str, Setting]:
    """All settings by ``section.key``."""
    return {setting.name: setting for setting in SETTINGS}


def of_section(section: str) -> tuple[Setting, ...]:
    """The settings of one section, in the order of the table.

    Raises:
        KeyError: there is no such section.
    """
    if section not in SECTIONS:
        raise KeyError(f'section {section!r}: expected one of {", ".join(SECTIONS)}')
    return tuple(setting for setting in SETTINGS if setting.section == section)
