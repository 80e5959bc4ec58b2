"""Heads of requests that no honest client sends, to the API as gunicorn serves it."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.integration.api.conftest import API_KEY

HEADS = {
    "a header of a mebibyte": ("GET /health HTTP/1.1", "X-Long: " + "x" * 1_000_000),
    "a thousand headers": (
        "GET /health HTTP/1.1",
        "\r\n".join(f"X-{n}: {n}" for n in range(1000)),
    ),
    "an endless address": (f"GET /jobs/?filename={'x' * 100_000} HTTP/1.1", "X-A: b"),
    "two lengths": ("POST /tokens HTTP/1.1", "Content-Length: 2\r\nContent-Length: 5"),
    "a length and chunks": (
        "POST /tokens HTTP/1.1",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
    ),
    "a length that is none": ("POST /tokens HTTP/1.1", "Content-Length: -2"),
    "a name with a blank": ("GET /health HTTP/1.1", "X Header: x"),
    "a folded header": ("GET /health HTTP/1.1", "X-A: b\r\n  c"),
    "no method of HTTP": ("GE\x00T /health HTTP/1.1", "X-A: b"),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_it_is_refused_without_a_crash_and_without_a_word_of_the_inside(server, head):
    address = urlsplit(server[0])
    line, headers = head
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(
            f"{line}\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n{headers}\r\n\r\n{{}}".encode()
        )

        answer = read_all(connection)

    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500
    assert b"Traceback" not in answer
    assert API_KEY.encode() not in answer


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
            if b"\r\n\r\n" in received and b"onnection: close" not in received:
                break
    except ConnectionResetError:  # more was sent than anybody read
        pass
    return received
