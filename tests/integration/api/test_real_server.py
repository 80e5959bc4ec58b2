"""Uploads over real sockets, to the API as gunicorn serves it."""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.api.conftest import API_KEY, KEY, wait_until
from tests.recordings import make_speechlike_wav

MIB = 1024 * 1024
PART = (
    b"--frontier\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n"
)
FORM = "Content-Type: multipart/form-data; boundary=frontier\r\n"

HALVES = {
    "raw": ("PUT", "Content-Length: 1000000\r\n", b"x" * 500_000),
    "form": ("POST", FORM + "Content-Length: 1000000\r\n", PART + b"x" * 500_000),
    "raw chunked": ("PUT", "Transfer-Encoding: chunked\r\n", b"F4240\r\n" + b"x" * 500_000),
    "form chunked": (
        "POST",
        FORM + "Transfer-Encoding: chunked\r\n",
        b"F4240\r\n" + PART + b"x" * 500_000,
    ),
    "between chunks": ("PUT", "Transfer-Encoding: chunked\r\n", b"5\r\nsound\r\n"),
}


@pytest.fixture
def files(server):
    uploads = server[1] / "uploads"

    def look():
        return [path for path in uploads.rglob("*") if path.is_file()]

    for path in look():
        path.unlink()
    return look


@pytest.fixture
def connect(server):
    address = urlsplit(server[0])
    opened = []

    def connect(method, headers, key=API_KEY):
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        opened.append(connection)
        head = f"{method} /transcribe/ HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
        head += f"Connection: close\r\n{headers}\r\n"
        connection.sendall(head.encode())
        return connection

    yield connect
    for connection in opened:
        connection.close()


def read_answer(connection):
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_no_header_makes_another_path_of_the_one_that_a_proxy_saw(server):
    hidden = httpx.get(f"{server[0]}/health/jobs/", headers={**KEY, "SCRIPT_NAME": "/health"})
    plain = httpx.get(f"{server[0]}/health", headers={**KEY, "SCRIPT_NAME": "/elsewhere"})
    other = httpx.get(f"{server[0]}/health", headers={**KEY, "PATH_INFO": "/jobs/"})

    assert (hidden.status_code, hidden.json()["code"]) == (404, "route_not_found")
    assert (plain.status_code, other.status_code) == (200, 200)
    assert plain.json() == other.json() == {"status": "ok"}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_an_upload_that_ends_half_way_is_400_and_leaves_nothing(connect, files, half):
    method, headers, sent = half
    connection = connect(method, headers)

    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    status, answer = read_answer(connection)

    assert (status, answer["code"]) == (400, "upload_interrupted")
    assert files() == []


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_client_that_is_suddenly_gone_leaves_nothing(connect, files, half):
    method, headers, sent = half
    connection = connect(method, headers)

    connection.sendall(sent)
    wait_until(files, 30)
    connection.close()

    wait_until(lambda: not files(), 30)


def test_too_large_a_body_is_refused_before_a_byte_of_it_is_sent(connect, files):
    connection = connect("PUT", f"Content-Length: {3 * MIB}\r\n")

    status, answer = read_answer(connection)

    assert (status, answer["code"]) == (413, "upload_too_large")
    assert files() == []


@pytest.mark.parametrize("key", ["", "wrong", "sk_" + "a" * 43])
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_stranger_is_answered_while_he_still_sends(connect, files, half, key):
    method, headers, sent = half
    connection = connect(method, headers, key)

    connection.sendall(sent[:1000])  # and no more: who waited for the rest would wait for ever
    status, answer = read_answer(connection)

    assert (status, answer["code"]) == (401, "api_key_invalid")
    assert files() == []


def test_a_stranger_who_sends_it_all_anyway_still_reads_the_refusal(server, files):
    def pieces():
        for _ in range(8):
            yield b"x" * MIB

    address = f"{server[0]}/transcribe/"
    whole = httpx.put(address, content=b"x" * MIB, headers={"X-API-Key": "wrong"}, timeout=30)
    chunked = httpx.put(address, content=pieces(), headers={"X-API-Key": "wrong"}, timeout=30)

    assert (whole.status_code, chunked.status_code) == (401, 401)
    assert files() == []


def test_a_client_that_sends_too_much_anyway_still_reads_the_refusal(server, files):
    answer = httpx.put(
        f"{server[0]}/transcribe/", content=b"x" * (8 * MIB), headers=KEY, timeout=30
    )

    assert answer.status_code == 413
    assert answer.json()["code"] == "upload_too_large"
    assert files() == []


def test_a_chunked_body_is_cut_off_when_it_grows_too_large(server, files):
    def pieces():
        for _ in range(3 * 16):
            yield b"x" * (MIB // 16)

    answer = httpx.put(f"{server[0]}/transcribe/", content=pieces(), headers=KEY, timeout=30)

    assert answer.status_code == 413
    assert files() == []


def test_a_recording_is_taken_whole_and_comes_back_the_same(server, files, tmp_path):
    content = make_speechlike_wav(tmp_path / "a.wav", 2).read_bytes()
    address = f"{server[0]}/transcribe/"

    by_form = httpx.post(
        address, files={"file": ("ü 🎉.wav", content, "audio/wav")}, headers=KEY, timeout=30
    )
    by_put = httpx.put(f"{address}?filename=b.wav", content=content, headers=KEY, timeout=30)

    assert (by_form.status_code, by_put.status_code) == (202, 202), by_form.text + by_put.text
    assert [path.read_bytes() for path in files()] == [content, content]
    job = httpx.get(server[0] + by_form.headers["Location"], headers=KEY).json()
    assert (job["filename"], round(job["duration"])) == ("ü 🎉.wav", 2)
    audio = httpx.get(server[0] + by_form.headers["Location"] + "/audio", headers=KEY)
    assert (audio.content, audio.headers["Content-Type"]) == (content, "audio/wav")


def test_a_connection_survives_a_refused_upload(server):
    with httpx.Client(base_url=server[0], headers=KEY, timeout=30) as client:
        refused = client.put("/transcribe/?nope=1", content=b"x" * 2_000_000)
        after = client.get("/health")

    assert refused.status_code == 422
    assert after.status_code == 200
