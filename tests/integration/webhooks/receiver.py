"""Somebody who receives webhooks: a server of this machine that keeps what comes."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def type(self):
        return json.loads(self.body)["type"]

    @property
    def data(self):
        return json.loads(self.body)["data"]

    @property
    def message_id(self):
        return self.headers["webhook-id"]

    def verify(self, secret):
        """The message, if the specification's own library takes it."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver(ThreadingHTTPServer):
    """Answers 200, or what `answer(received)` says, which may take its time."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = lambda _received: 200
        self._received = []
        self._lock = Lock()

    @property
    def host_and_port(self):
        return ("127.0.0.1", self.server_address[1])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def received(self):
        with self._lock:
            return list(self._received)

    def keep(self, received):
        with self._lock:
            self._received.append(received)

    def types(self, path=None):
        """The types of what came, in the order in which it came."""
        return [r.type for r in self.received if path is None or r.path == path]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, body)
        self.server.keep(received)
        self.send_response(self.server.answer(received))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def running_receiver():
    """A receiver for the time of a block."""
    server = Receiver()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
