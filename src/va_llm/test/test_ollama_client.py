# SPDX-License-Identifier: Apache-2.0
"""The Ollama client against a server that speaks its wire format and misbehaves."""

from pathlib import Path
import socket
import sys
import threading

import pytest

from va_common.errors import AssistantError, ErrorCode
from va_llm.engine import CancelToken, ChatMessage, ChatRequest, Deadlines
from va_llm.engine_factory import build_engine, EngineSettings, OllamaSettings
from va_llm.modelfile_loader import parse
from va_llm.ollama_client import check_url, OllamaEngine, parse_keep_alive
from va_llm.ollama_models import parse_version

sys.path.insert(0, str(Path(__file__).parent))
from llm_fakes import fake_ollama

HELLO = ChatRequest((ChatMessage('system', 'be short'), ChatMessage('user', 'hello')), 40)
MODELFILE = ('FROM smollm2:135m\nPARAMETER temperature 0.3\nPARAMETER min_p 0.1\n'
             'PARAMETER stop ##\n')


@pytest.fixture
def server():
    with fake_ollama() as fake:
        yield fake


@pytest.fixture
def make(server):
    engines = []

    def build(modelfile=MODELFILE, **settings):
        deadlines = settings.pop('deadlines', Deadlines(5.0, 5.0))
        settings = OllamaSettings(url=server.url, **settings)
        engines.append(OllamaEngine(parse(modelfile), settings, deadlines))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


def fails(engine, code, named):
    texts = []
    with pytest.raises(AssistantError, match=named) as caught:
        engine.generate(HELLO, texts.append, CancelToken())
    assert caught.value.code == code
    return texts


def test_an_answer_streams_with_the_options_of_the_modelfile(make, server):
    texts = []
    completion = make().generate(HELLO, texts.append, CancelToken())
    assert texts == ['Hello', ' there', '.']
    assert (completion.finish_reason, completion.prompt_tokens, completion.completion_tokens) == \
        ('stop', 26, 3)
    path, body = server.requests[-1]
    assert path == '/api/chat'
    assert body['model'] == 'smollm2:135m'
    assert body['stream'] is True
    assert body['keep_alive'] == -1
    assert body['messages'] == [{'role': 'system', 'content': 'be short'},
                                {'role': 'user', 'content': 'hello'}]
    assert body['options'] == {'temperature': 0.3, 'min_p': 0.1, 'stop': ['##'],
                               'num_predict': 40}


def test_the_temperature_of_a_request_goes_before(make, server):
    make().generate(ChatRequest(HELLO.messages, 5, 1.5), lambda text: None, CancelToken())
    assert server.requests[-1][1]['options']['temperature'] == 1.5


def test_no_server():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{free.getsockname()[1]}'
    settings = EngineSettings(OllamaSettings(url=url))
    with pytest.raises(AssistantError, match=r'not reachable; is it running\?') as caught:
        build_engine('ollama', parse('FROM x'), settings, Deadlines())
    assert caught.value.code == ErrorCode.UNAVAILABLE


def test_an_unknown_model_is_named_with_the_command_that_fetches_it(make):
    with pytest.raises(AssistantError, match=r'ollama pull llama9:1t') as caught:
        make('FROM llama9:1t')
    assert caught.value.code == ErrorCode.MODEL_MISSING
    assert 'ollama' not in [thread.name for thread in threading.enumerate()]


def test_a_model_that_was_deleted_while_running(make, server):
    engine = make()
    server.models.clear()
    fails(engine, ErrorCode.MODEL_MISSING, 'ollama pull smollm2:135m')


def test_no_first_token(make, server):
    engine = make(deadlines=Deadlines(0.2, 5.0))
    server.script = 'hang_first'
    assert fails(engine, ErrorCode.TIMEOUT, r'no first token within 0\.2 s') == []
    assert server.gone.wait(5.0), 'the connection stayed open'


def test_no_next_token(make, server):
    engine = make(deadlines=Deadlines(5.0, 0.2))
    server.script = 'hang_middle'
    assert fails(engine, ErrorCode.TIMEOUT, r'no next token within 0\.2 s') == ['Hello']
    assert server.gone.wait(5.0), 'the connection stayed open'


@pytest.mark.parametrize(('script', 'named'), [
    ('cut', 'cut the answer off: RemoteProtocolError'),
    ('broken', 'cut the answer off: JSONDecodeError'),
    ('short', 'cut the answer off: the answer ended without its last part'),
    ('late_error', 'out of memory'),
])
def test_a_stream_that_breaks(make, server, script, named):
    engine = make()
    server.script = script
    assert fails(engine, ErrorCode.ENGINE_FAILED, named) == ['Hello']


def test_an_error_of_the_server(make, server):
    engine = make()
    server.script = 'error'
    fails(engine, ErrorCode.ENGINE_FAILED, 'llama runner process has terminated')


def test_after_a_failure_the_next_answer_works(make, server):
    engine = make()
    server.script = 'cut'
    fails(engine, ErrorCode.ENGINE_FAILED, 'cut')
    server.script = 'ok'
    assert engine.generate(HELLO, lambda text: None, CancelToken()).finish_reason == 'stop'


@pytest.mark.parametrize('script', ['hang_first', 'hang_middle'])
def test_cancel_ends_a_wait_at_once_and_tells_the_server(make, server, script):
    engine, cancel, ended = make(), CancelToken(), []
    server.script = script
    thread = threading.Thread(target=lambda: ended.append(
        engine.generate(HELLO, lambda text: None, cancel)))
    thread.start()
    cancel.cancel('enough')
    thread.join(5.0)
    assert ended[0].finish_reason == 'cancelled'


def test_what_the_listener_raises_comes_back(make):
    def listen(text):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make().generate(HELLO, listen, CancelToken())


def test_a_template_makes_a_model_of_its_own_once(make, server):
    template = MODELFILE + 'TEMPLATE """{{ .Prompt }}"""'
    name = make(template).model
    assert name.startswith('va-')
    assert make(template).model == name
    creations = [body for path, body in server.requests if path == '/api/create']
    assert len(creations) == 1
    assert creations[0]['from'] == 'smollm2:135m'
    assert creations[0]['template'] == '{{ .Prompt }}'


def test_a_gguf_file_and_an_adapter_are_uploaded(make, server, tmp_path):
    (tmp_path / 'm.gguf').write_bytes(b'GGUF model')
    (tmp_path / 'a.gguf').write_bytes(b'GGUF adapter')
    for _ in range(2):
        make(f'FROM {tmp_path}/m.gguf\nADAPTER {tmp_path}/a.gguf')
    (creation,) = [body for path, body in server.requests if path == '/api/create']
    assert sum(path.startswith('/api/blobs/') for path, _ in server.requests) == 2
    assert list(creation['files']) == ['m.gguf']
    assert creation['adapters']['a.gguf'].startswith('sha256:')


def test_a_missing_adapter(make):
    with pytest.raises(AssistantError, match=r'ADAPTER .*none.gguf: no such file'):
        make(MODELFILE + 'ADAPTER /none.gguf')


@pytest.mark.parametrize(('version', 'works'), [('0.25.0', True), ('0.13.9', False),
                                                ('0.0.0', True), ('0.14.0-rc2', True)])
def test_requires(make, server, version, works):
    server.version = version
    modelfile = MODELFILE + 'REQUIRES 0.14.0'
    if works:
        make(modelfile)
        return
    with pytest.raises(AssistantError, match=r'Ollama 0\.13\.9: the Modelfile REQUIRES 0\.14\.0'):
        make(modelfile)


def test_closing_twice_and_using_a_closed_one(make):
    engine = make()
    engine.close()
    engine.close()
    fails(engine, ErrorCode.NOT_ACTIVE, 'has been closed')


@pytest.mark.parametrize('url', ['http://127.0.0.1:11434', 'http://localhost:1', 'http://[::1]:2',
                                 'https://127.0.0.2'])
def test_this_host_is_allowed(url):
    check_url(url, allow_remote=False)


@pytest.mark.parametrize('url', ['http://192.168.1.5:11434', 'https://ollama.com',
                                 'http://localhost.evil.com', 'http://0.0.0.0:11434'])
def test_other_hosts_only_when_that_is_meant(url):
    with pytest.raises(AssistantError, match='leave the machine') as caught:
        check_url(url, allow_remote=False)
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT
    check_url(url, allow_remote=True)


@pytest.mark.parametrize('url', ['', '127.0.0.1:11434', 'ftp://127.0.0.1', 'http://', 'http://x:y'])
def test_what_is_no_address(url):
    with pytest.raises(AssistantError, match='expected an address'):
        check_url(url, allow_remote=True)


def test_a_proxy_of_the_environment_is_not_used(make, monkeypatch):
    monkeypatch.setenv('HTTP_PROXY', 'http://127.0.0.1:9')
    monkeypatch.setenv('ALL_PROXY', 'http://127.0.0.1:9')
    assert make().generate(HELLO, lambda text: None, CancelToken()).finish_reason == 'stop'


@pytest.mark.parametrize(('text', 'value'), [('-1', -1), ('300', 300), ('30m', '30m'),
                                             ('24h', '24h'), ('1.5h', '1.5h')])
def test_keep_alive(text, value):
    assert parse_keep_alive(text) == value


@pytest.mark.parametrize('text', ['', 'm', 'forever', '5 minutes'])
def test_bad_keep_alive(text):
    with pytest.raises(AssistantError, match='keep_alive'):
        parse_keep_alive(text)


def test_versions_compare():
    assert parse_version('v0.14.0-rc1') == (0, 14, 0) < parse_version('0.25.1+abc')
