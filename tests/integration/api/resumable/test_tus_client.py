"""The public tus client against the API as gunicorn serves it: cut off, killed, resumed."""

import hashlib
import os
import signal
import socket
import wave
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.integration.api.conftest import KEY, wait_until, web_server
from tests.integration.api.resumable.cut_connection import breaking_wire

MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
PIECE_BYTES = 1_000_000
LENGTH_S = 800  # 24 MiB: more than is written between two syncs


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        for _ in range(LENGTH_S):
            file.writeframes(os.urandom(32_000))
    return path


@pytest.fixture(scope="module")
def sha256(recording):
    return hashlib.sha256(recording.read_bytes()).hexdigest()


def uploader_for(address, recording, **arguments):
    return TusClient(f"{address}/uploads", headers=KEY).uploader(
        str(recording), metadata={"filename": "long.wav", "model_size": "tiny"}, **arguments
    )


def job_of(address, url):
    head = httpx.head(url, headers={**TUS, **KEY}, timeout=30)
    return httpx.get(f"{address}/transcribe/{head.headers['X-Job-ID']}", headers=KEY).json()


def resume(address, recording, url, **arguments):
    """Go on with an upload that was begun at another address."""
    uploader = uploader_for(
        address, recording, url=address + urlsplit(url).path, chunk_size=PIECE_BYTES, **arguments
    )
    begun_at = uploader.offset
    uploader.upload()
    return begun_at, uploader.url


@pytest.mark.parametrize("is_checked", [False, True])
def test_a_recording_in_pieces_becomes_a_job(server, recording, sha256, is_checked):
    uploader = uploader_for(
        server[0], recording, chunk_size=8 * PIECE_BYTES, upload_checksum=is_checked
    )

    uploader.upload()

    job = job_of(server[0], uploader.url)
    assert (job["sha256"], job["filename"]) == (sha256, "long.wav")
    assert round(job["duration"]) == LENGTH_S


def test_a_connection_that_breaks_in_mid_piece_costs_nothing(server, recording, sha256):
    uploader = uploader_for(server[0], recording)
    uploader.set_url(uploader.create_url())
    path = urlsplit(uploader.url).path
    with breaking_wire(server[0], after_bytes=10 * MIB) as wire:
        uploader.url = wire + path
        with pytest.raises((TusUploadFailed, TusCommunicationError)):
            uploader.upload()
    # The server may still be reading what the wire had carried.
    wait_until(lambda: is_free(server[0] + path), 30)

    begun_at, url = resume(server[0], recording, server[0] + path)

    assert 9 * MIB < begun_at < 10 * MIB
    assert job_of(server[0], url)["sha256"] == sha256


def is_free(url):
    """Whether no other request writes to this upload: a piece without bytes is taken then."""
    offset = httpx.head(url, headers={**TUS, **KEY}).headers["Upload-Offset"]
    headers = {
        **TUS,
        **KEY,
        "Upload-Offset": offset,
        "Content-Type": "application/offset+octet-stream",
    }
    return httpx.patch(url, headers=headers, content=b"").status_code == 204


def test_a_server_that_is_killed_between_pieces_goes_on_where_it_was(
    migrated_database, redis_url, recording, sha256, tmp_path
):
    with web_server(migrated_database, redis_url, tmp_path) as (address, process):
        uploader = uploader_for(address, recording, chunk_size=PIECE_BYTES)
        uploader.upload(stop_at=3 * PIECE_BYTES)
        kill(process)

    with web_server(migrated_database, redis_url, tmp_path) as (address, _):
        begun_at, url = resume(address, recording, uploader.url)
        job = job_of(address, url)

    assert begun_at == 3 * PIECE_BYTES
    assert job["sha256"] == sha256


def test_a_server_that_is_killed_in_mid_piece_keeps_what_it_had_called_safe(
    migrated_database, redis_url, recording, sha256, tmp_path
):
    sent = recording.read_bytes()[: 20 * MIB]
    with web_server(migrated_database, redis_url, tmp_path) as (address, process):
        uploader = uploader_for(address, recording)
        uploader.set_url(uploader.create_url())
        connection = begin_piece(uploader.url, length=recording.stat().st_size)
        connection.sendall(sent)
        incoming = tmp_path / "uploads" / "incoming"
        wait_until(lambda: next(incoming.iterdir()).stat().st_size > 19 * MIB, 30)
        kill(process)
        connection.close()

    with web_server(migrated_database, redis_url, tmp_path) as (address, _):
        begun_at, url = resume(address, recording, uploader.url)
        job = job_of(address, url)

    assert 16 * MIB <= begun_at < 20 * MIB
    assert job["sha256"] == sha256


def test_a_connection_that_went_silent_is_given_up_and_what_it_brought_is_kept(
    migrated_database, redis_url, recording, sha256, tmp_path
):
    content = recording.read_bytes()
    hasty = {"SLOW_CLIENT_GRACE_S": "1"}
    with web_server(migrated_database, redis_url, tmp_path, **hasty) as (address, _):
        uploader = uploader_for(address, recording)
        uploader.set_url(uploader.create_url())
        connection = begin_piece(uploader.url, length=len(content))
        connection.sendall(content[: 5 * MIB])
        wait_until(lambda: not is_free(uploader.url), 30)

        wait_until(lambda: is_free(uploader.url), 30)
        begun_at, url = resume(address, recording, uploader.url)
        job = job_of(address, url)

    connection.close()
    assert 4 * MIB < begun_at <= 5 * MIB
    assert job["sha256"] == sha256


def test_of_two_writers_at_once_one_is_sent_away(server, recording, sha256):
    content = recording.read_bytes()
    uploader = uploader_for(server[0], recording, chunk_size=PIECE_BYTES)
    uploader.set_url(uploader.create_url())
    connection = begin_piece(uploader.url, length=len(content))
    connection.sendall(content[:MIB])
    wait_until(lambda: not is_free(uploader.url), 30)

    with pytest.raises(TusUploadFailed) as refused:
        uploader.upload()
    connection.sendall(content[MIB:])
    answer = connection.recv(65_536)

    connection.close()
    assert refused.value.status_code == 423
    assert b" 204 " in answer.splitlines()[0]
    assert job_of(server[0], uploader.url)["sha256"] == sha256


def begin_piece(url, *, length):
    """A connection whose piece is announced and not sent."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    headers = {
        **TUS,
        **KEY,
        "Host": "x",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(length),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"PATCH {address.path} HTTP/1.1\r\n{lines}\r\n".encode())
    return connection


def kill(process):
    """As the kernel does, when memory runs out; its children go with it."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
