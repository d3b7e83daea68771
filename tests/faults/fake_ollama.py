# SPDX-License-Identifier: Apache-2.0
"""A fake of the Ollama server: speaks its wire format and misbehaves on demand."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import socket
import threading
import time
from typing import Any

MODEL = 'smollm2:135m'
ANSWER = 'I once met a small robot. It liked to count the stars. Then it went to sleep.'


class FakeOllamaServer:
    """Listens on a port of its own from ``start`` to ``refuse`` or ``stop``.

    ``script`` says what /api/chat does after its first words: ok, hang (nothing more comes), cut
    (the connection ends), error (HTTP 500 instead of an answer). A request for one token, as the
    health probe makes, is always answered.
    """

    def __init__(self) -> None:
        self.script = 'ok'
        self.answer: Callable[[], Iterable[str]] = words
        'the pieces of an answer; it may take its time between them'
        self.asked: list[list[dict[str, str]]] = []
        'the messages of each request for an answer'
        self.broke_s = 0.0
        'when it misbehaved last, Unix seconds'
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._released = threading.Event()
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def start(self) -> None:
        """Listen; idempotent."""
        if self._server is not None:
            return
        self._released.clear()
        server = _Server(('127.0.0.1', self.port), _Handler)
        server.fake = self
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True,
                                        name='fake_ollama')
        self._thread.start()

    def stop(self) -> None:
        """Close the port: connections are refused; idempotent."""
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.close_all()
            self._server = None
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def lines(self, answer: Iterable[str]) -> Iterator[dict[str, Any]]:
        pieces = 0
        for text in answer:
            pieces += 1
            yield {'model': MODEL, 'message': {'role': 'assistant', 'content': text},
                   'done': False}
        yield {'model': MODEL, 'message': {'role': 'assistant', 'content': ''}, 'done': True,
               'done_reason': 'stop', 'prompt_eval_count': 26, 'eval_count': pieces}

    def misbehave(self) -> str:
        """Note the moment; what is to be done."""
        self.broke_s = time.time()
        return self.script

    def hang(self, timeout_s: float = 30.0) -> None:
        self._released.wait(timeout_s)


def words() -> list[str]:
    """The usual answer, word by word."""
    first, *rest = ANSWER.split()
    return [first, *(f' {word}' for word in rest)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    fake: FakeOllamaServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of the play."""

    def close_all(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it had ended by itself


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Requests are no output of a test."""

    def do_GET(self) -> None:
        answers = {'/api/version': {'version': '0.25.0'},
                   '/api/tags': {'models': [{'model': MODEL, 'name': MODEL}]}}
        self._json(answers.get(self.path, {'error': 'not found'}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get('Content-Length') or 0)) or b'{}')
        if self.path == '/api/show':
            self._json({'details': {'format': 'gguf'}, 'model_info': {}})
        elif self.path == '/api/chat':
            probe = body.get('options', {}).get('num_predict', 0) == 1
            fake = self.server.fake
            if probe:
                self._chat('ok', words())
            else:
                fake.asked.append(body.get('messages', []))
                self._chat(fake.script, fake.answer())
        else:
            self._json({'error': 'not found'}, 404)

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _chat(self, script: str, answer: Iterable[str]) -> None:
        fake = self.server.fake
        if script == 'error':
            fake.misbehave()
            self._json({'error': 'llama runner process has terminated'}, 500)
            return
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-ndjson')
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        for number, line in enumerate(fake.lines(answer)):
            if number == 3 and script != 'ok':
                if fake.misbehave() == 'hang':
                    fake.hang()
                self.close_connection = True  # cut: no last chunk
                return
            self._chunk(json.dumps(line).encode() + b'\n')
        self.wfile.write(b'0\r\n\r\n')

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')
        self.wfile.flush()
