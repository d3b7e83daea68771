# SPDX-License-Identifier: Apache-2.0
"""Fakes for the tests of this package."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import threading

from va_llm.engine import Completion


class FakeEngine:
    """Answers with the words of ``answer``; can wait before a word, fail, and be watched."""

    name = 'fake'
    model = 'fake-1'

    def __init__(self, answer='Yes I can .'):
        self.answer = answer
        self.requests = []
        self.failure = None
        self.closed = False
        self.gate = threading.Event()
        """Generations wait for it before their second word."""
        self.gate.set()
        self.at_gate = threading.Event()

    def generate(self, request, on_text, cancel):
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        words = self.answer.split()[:request.max_tokens]
        for number, word in enumerate(words):
            if number == 1:
                self.at_gate.set()
                cancel.on_cancel(self.gate.set)
                assert self.gate.wait(10.0), 'the test never opened the gate'
            if cancel.cancelled:
                return Completion('cancelled', 3, number)
            on_text(f' {word}')
        return Completion('stop', 3, len(words))

    def hold(self):
        """Make the next generation wait before its second word."""
        self.gate.clear()
        self.at_gate.clear()

    def close(self):
        self.closed = True


class FakeOllama:
    """A server that speaks the wire format of Ollama 0.25, and misbehaves on demand.

    ``script`` tells what /api/chat does: ok, hang_first, hang_middle, cut, error, broken.
    """

    def __init__(self):
        self.script = 'ok'
        self.words = ['Hello', ' there', '.']
        self.version = '0.25.0'
        self.models = ['smollm2:135m']
        self.requests = []
        self.released = threading.Event()
        self.gone = threading.Event()
        """Set when a client went away in the middle of an answer."""

    def chat_lines(self, model):
        for word in self.words:
            yield {'model': model, 'message': {'role': 'assistant', 'content': word},
                   'done': False}
        yield {'model': model, 'message': {'role': 'assistant', 'content': ''}, 'done': True,
               'done_reason': 'stop', 'prompt_eval_count': 26, 'eval_count': 3}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    @property
    def fake(self):
        return self.server.fake

    def do_HEAD(self):
        known = self.path in [path for path, _ in self.fake.requests]
        self._json({}, 200 if known else 404)

    def do_GET(self):
        self.fake.requests.append((self.path, None))
        answers = {'/api/version': {'version': self.fake.version},
                   '/api/tags': {'models': [{'model': f'{m}', 'name': m}
                                            for m in self.fake.models]}}
        self._json(answers.get(self.path, {'error': 'not found'}))

    def do_POST(self):
        length = self.headers.get('Content-Length')
        raw = self.rfile.read(int(length)) if length else self._read_chunked()
        body = json.loads(raw) if raw[:1] == b'{' else {}
        self.fake.requests.append((self.path, body))
        if self.path.startswith('/api/blobs/'):
            self._json({}, 201)
        elif self.path == '/api/create':
            self.fake.models.append(body['model'] + ':latest')
            self._json({'status': 'success'})
        elif body.get('model') not in [m.removesuffix(':latest') for m in self.fake.models]:
            self._json({'error': f"model '{body.get('model')}' not found"}, 404)
        elif self.path == '/api/show':
            self._json({'details': {'format': 'gguf'}, 'model_info': {}})
        elif self.path == '/api/chat':
            self._chat(body)

    def _read_chunked(self):
        data = b''
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _json(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def _chat(self, body):
        if self.fake.script == 'error':
            return self._json({'error': 'llama runner process has terminated'}, 500)
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-ndjson')
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        try:
            self._stream(body)
        except OSError:
            self.fake.gone.set()
            self.close_connection = True

    def _stream(self, body):
        if self.fake.script == 'hang_first':
            self._wait_for_the_client_to_go()
            return
        for number, line in enumerate(self.fake.chat_lines(body['model'])):
            if number == 1 and self.fake.script != 'ok':
                self._misbehave()
                return
            self._chunk(json.dumps(line).encode() + b'\n')
        self.wfile.write(b'0\r\n\r\n')

    def _misbehave(self):
        if self.fake.script == 'hang_middle':
            self._wait_for_the_client_to_go()
        elif self.fake.script == 'broken':
            self._chunk(b'{"model": "x", "mess\n')
            self.wfile.write(b'0\r\n\r\n')
        elif self.fake.script == 'late_error':
            self._chunk(b'{"error": "out of memory"}\n')
            self.wfile.write(b'0\r\n\r\n')
        elif self.fake.script == 'short':
            self.wfile.write(b'0\r\n\r\n')
        self.close_connection = True  # cut: no last chunk

    def _wait_for_the_client_to_go(self):
        self.connection.settimeout(10.0)
        if self.rfile.read(1) == b'':
            self.fake.gone.set()
        self.close_connection = True

    def _chunk(self, data):
        self.wfile.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')
        self.wfile.flush()


@contextmanager
def fake_ollama():
    """Run a FakeOllama on a free port; its ``url`` says where."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.daemon_threads = True
    server.fake = FakeOllama()
    server.fake.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)
