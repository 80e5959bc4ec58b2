"""Clients that send slowly, or stop in the middle, against the API as gunicorn serves it."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.api.conftest import API_KEY, wait_until, web_server

THREADS = 4  # of the server: requests and event streams
MANY = 24
PATIENCE_S = 20


@pytest.fixture(scope="module")
def hasty(migrated_database, redis_url, tmp_path_factory):
    """Address and folder of a server that waits for nobody longer than a second."""
    folder = tmp_path_factory.mktemp("hasty")
    settings = {
        "SLOW_CLIENT_GRACE_S": "1",
        "WEB_THREADS": str(THREADS // 2),
        "MAX_EVENT_STREAMS": str(THREADS // 2),
    }
    with web_server(migrated_database, redis_url, folder, **settings) as (address, _):
        yield address, folder


@pytest.fixture
def connect(hasty):
    address = urlsplit(hasty[0])
    with ExitStack() as exits:
        yield lambda: exits.enter_context(
            socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S)
        )


def upload_head(length):
    return (
        f"PUT /transcribe/?filename=a.wav HTTP/1.1\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def is_closed(connection):
    """Whether the server has ended it; what it may have answered is read away."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Never: ", upload_head(1_000_000) + b"x"],
    ids=["a request line", "headers", "a body"],
)
def test_a_request_that_stops_in_the_middle_is_cut_off(connect, sent):
    connection = connect()

    connection.sendall(sent)

    assert is_closed(connection)


def test_an_upload_that_stops_leaves_nothing_behind(connect, hasty):
    connection = connect()

    connection.sendall(upload_head(1_000_000) + b"x" * 300_000)

    assert is_closed(connection)
    uploads = hasty[1] / "uploads"
    wait_until(
        lambda: not [path for path in uploads.rglob("*") if path.is_file()],
        PATIENCE_S,
        lambda: "half an upload is still there",
    )


def test_more_slow_clients_than_threads_do_not_keep_others_out_for_long(connect, hasty):
    slow = [connect() for _ in range(MANY)]
    for connection in slow:
        connection.sendall(upload_head(1_000_000))

    answer = httpx.get(f"{hasty[0]}/health", timeout=PATIENCE_S)

    assert answer.status_code == 200
    assert all(map(is_closed, slow))
