"""Heads of requests that no honest client sends, to the API as gunicorn serves it."""

import json
import socket
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from tests.integration.api.conftest import API_KEY

MALFORMED = (400, "request_invalid")
HEADS = {
    "a header of a mebibyte": (
        "GET /health HTTP/1.1",
        "X-Long: " + "x" * 1_000_000,
        (431, "headers_too_large"),
    ),
    "a thousand headers": (
        "GET /health HTTP/1.1",
        "\r\n".join(f"X-{n}: {n}" for n in range(1000)),
        (431, "headers_too_large"),
    ),
    "an endless address": (
        f"GET /jobs/?filename={'x' * 100_000} HTTP/1.1",
        "X-A: b",
        (414, "address_too_long"),
    ),
    "two lengths": (
        "POST /tokens HTTP/1.1",
        "Content-Length: 2\r\nContent-Length: 5",
        MALFORMED,
    ),
    "a length and chunks": (
        "POST /tokens HTTP/1.1",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        MALFORMED,
    ),
    "a length that is none": ("POST /tokens HTTP/1.1", "Content-Length: -2", MALFORMED),
    "a name with a blank": ("GET /health HTTP/1.1", "X Header: x", MALFORMED),
    "a folded header": ("GET /health HTTP/1.1", "X-A: b\r\n  c", MALFORMED),
    "no method of HTTP": ("GE\x00T /health HTTP/1.1", "X-A: b", MALFORMED),
    "a coding that nobody reads": (
        "POST /tokens HTTP/1.1",
        "Transfer-Encoding: br",
        (501, "transfer_coding_unsupported"),
    ),
    "an expectation that nobody meets": (
        "POST /tokens HTTP/1.1",
        "Expect: coffee",
        (417, "expectation_unsupported"),
    ),
}
JSON_IN_CHUNKS = "Content-Type: application/json\r\nTransfer-Encoding: chunked"


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_it_is_refused_without_a_crash_and_without_a_word_of_the_inside(server, head):
    line, headers, (status, code) = head

    answer = ask(server, line, headers, "{}")

    shown, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = shown.decode().split("\r\n")
    said = dict(field.split(": ", 1) for field in fields)
    told = json.loads(body)
    assert first == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    assert (told["code"], told["details"]) == (code, {})
    assert set(told) == {"code", "message", "details", "request_id"}
    assert said["X-Request-ID"] == told["request_id"]
    assert said["Content-Type"] == "application/json"
    assert said["Connection"] == "close"
    assert said["X-Content-Type-Options"] == "nosniff"
    assert said["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"Traceback" not in answer
    assert API_KEY.encode() not in answer


def test_what_the_head_said_is_not_logged(server):
    ask(server, "GET /health HTTP/1.1", f"X Header {API_KEY}: {API_KEY}", "")

    log = (server[1] / "log").read_text()
    assert "request_refused" in log
    assert API_KEY not in log


def test_a_refused_request_whose_body_is_malformed_is_answered_once(server):
    answer = ask(server, "POST /nowhere HTTP/1.1", "Transfer-Encoding: chunked", "zz\r\n{}\r\n")

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("address", ["/tokens", "/v2/transcript"])
def test_json_in_malformed_chunks_is_the_fault_of_who_sent_it(server, address):
    answer = ask(server, f"POST {address} HTTP/1.1", JSON_IN_CHUNKS, "zz\r\n{}\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"broke off" in answer


def ask(server, line, headers, body):
    """Everything that comes back until the server closes the connection."""
    address = urlsplit(server[0])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(
            f"{line}\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n{headers}\r\n\r\n{body}".encode()
        )
        return read_all(connection)


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:  # more was sent than anybody read
        pass
    return received
