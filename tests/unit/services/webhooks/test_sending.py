"""One request to a receiver: what it answers, and what happens when it does not."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from outgoing.rules import Rules
from services.webhooks.sending import Sender


class Receiver(BaseHTTPRequestHandler):
    """Answers as its server was told, and keeps what came."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"the diary of whoever stands behind this address")

    def log_message(self, *_):
        pass


@contextmanager
def receiver(status=200, **headers):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.status, server.headers, server.received = status, headers, []
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(server, *, rules=None):
    host, port = server.server_address
    allowed = Rules(allowed=frozenset({(host, port)}))
    return Sender(rules or allowed)(f"http://{host}:{port}/hook?x=1", b"{}", {"A": "b"}, 5.0)


def test_a_message_arrives_with_its_headers():
    with receiver() as server:
        answer = send(server)

    [(path, headers, body)] = server.received
    assert (path, headers["A"], body) == ("/hook?x=1", "b", b"{}")
    assert (answer.status, answer.reason, answer.is_success) == (200, None, True)


@pytest.mark.parametrize(
    ("status", "is_success", "is_gone"),
    [(204, True, False), (302, False, False), (410, False, True), (500, False, False)],
)
def test_the_status_says_whether_it_was_taken(status, is_success, is_gone):
    with receiver(status) as server:
        answer = send(server)

    assert (answer.status, answer.is_success, answer.is_gone) == (status, is_success, is_gone)


def test_a_redirect_is_not_followed():
    with receiver() as target:
        port = target.server_address[1]
        with receiver(307, Location=f"http://127.0.0.1:{port}/") as server:
            answer = send(server)

    assert answer.status == 307
    assert target.received == []


@pytest.mark.parametrize(
    ("value", "wait_s"), [("120", 120), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-5", 0)]
)
def test_a_receiver_may_say_how_long_to_wait(value, wait_s):
    with receiver(503, **{"Retry-After": value}) as server:
        answer = send(server)

    assert answer.retry_after_s == wait_s


def test_a_private_address_is_not_asked():
    with receiver() as server:
        answer = send(server, rules=Rules())

    assert (answer.status, answer.reason) == (None, "scheme_refused")
    assert server.received == []


def test_nobody_there_is_a_reason_and_no_crash():
    with receiver() as server:
        pass

    answer = send(server)

    assert (answer.status, answer.reason) == (None, "connect_failed")
