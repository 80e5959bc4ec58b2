"""Event streams over real sockets, from the API as gunicorn serves it."""

import signal
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from psycopg2 import sql

from services.event_hub import PING_EVERY_S
from tests.conftest import execute
from tests.integration.api.conftest import API_KEY, KEY, wait_until, web_server
from tests.integration.api.event_reader import EventReader
from tests.recordings import make_speechlike_wav

LISTENERS = 200
STOP_S = 20  # far below the 60 s that gunicorn gives requests at a stop
LAST_CHUNK = b"0\r\n\r\n"

# 20 MB: more than the kernel takes for a reader that does not read.
LARGE_RESULT = """
    INSERT INTO transcription_jobs
        (id, status, model_size, options, file_path, size_bytes, sha256, completed_at)
    VALUES ({id}, 'completed', 'base', '{{}}', 'none', 1, 'none', now());
    INSERT INTO job_events (job_id, event, status, attempt, actor)
    VALUES ({id}, 'completed', 'completed', 1, 'test');
    INSERT INTO transcription_results
        (job_id, attempt, lease_token, transcription_text, language, duration, word_count,
         segments, task, model_requested, model_used, engine, device, fallbacks, warnings,
         timings, transcribe_s)
    SELECT {id}, 1, 1, '', 'en', 1, 1,
        jsonb_agg(jsonb_build_object('id', n, 'text', repeat('x', 10000))),
        'transcribe', 'base', 'base', 'fake', 'cpu', '[]', '[]', '{{}}', 1
    FROM generate_series(1, 2000) n
"""


@pytest.fixture
def serve(migrated_database, redis_url, tmp_path):
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            web_server(migrated_database, redis_url, tmp_path, **settings)
        )


@pytest.fixture
def recording(tmp_path):
    return make_speechlike_wav(tmp_path / "a.wav", 1).read_bytes()


@pytest.fixture
def large_job(migrated_database):
    job_id = sql.Literal(str(uuid4()))
    execute(migrated_database, sql.SQL(LARGE_RESULT).format(id=job_id))
    yield job_id.wrapped
    execute(
        migrated_database,
        sql.SQL("DELETE FROM transcription_jobs WHERE id = {}").format(job_id),
    )


def submit(address, recording):
    answer = httpx.put(f"{address}/transcribe/", content=recording, headers=KEY, timeout=60)
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


def open_stream(address, job_id, receive_bytes=None):
    """A connection that asked for the stream, and the first bytes of the answer."""
    host = urlsplit(address)
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(60)
    connection.connect((host.hostname, host.port))
    head = f"GET /transcribe/{job_id}/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n\r\n"
    connection.sendall(head.encode())
    return connection, connection.recv(12)


def read_to_end(connection):
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def stop(process):
    """How long the server takes to stop when it is asked to, in seconds."""
    process.send_signal(signal.SIGTERM)
    started_at = time.monotonic()
    process.wait(timeout=STOP_S)
    return time.monotonic() - started_at


def test_many_idle_listeners_leave_the_threads_to_requests_and_end_with_the_server(
    serve, recording
):
    address, process = serve(WEB_THREADS="2")
    jobs = [submit(address, recording) for _ in range(2)]
    streams = [open_stream(address, jobs[number % 2]) for number in range(LISTENERS)]

    submitted = submit(address, recording)
    seen = httpx.get(f"{address}/transcribe/{submitted}", headers=KEY, timeout=30).json()
    stop(process)
    ends = [read_to_end(connection) for connection, _ in streams]

    assert {first for _, first in streams} == {b"HTTP/1.1 200"}
    assert seen["status"] == "pending"
    assert [end[-len(LAST_CHUNK) :] for end in ends] == [LAST_CHUNK] * LISTENERS
    for connection, _ in streams:
        connection.close()


def test_a_reader_that_does_not_read_does_not_hold_the_stop_up(serve, large_job):
    address, process = serve()
    connection, first = open_stream(address, large_job, receive_bytes=4096)

    stop(process)
    connection.close()

    assert first == b"HTTP/1.1 200"


def test_streams_end_at_ctrl_c_too(serve, recording):
    address, process = serve()
    connection, _ = open_stream(address, submit(address, recording))

    process.send_signal(signal.SIGINT)
    process.wait(timeout=STOP_S)

    assert connection.recv(65_536) != b""
    connection.close()


def test_a_large_result_arrives_whole_over_a_real_connection(serve, large_job):
    address, _ = serve()

    events = f"{address}/transcribe/{large_job}/events"
    with httpx.stream("GET", events, headers=KEY, timeout=60) as answer:
        events = list(EventReader(answer.iter_text()))

    assert [event.name for event in events] == [*["segments"] * 20, "completed"]
    assert sum(len(event.data["segments"]) for event in events[:-1]) == 2000


def test_a_listener_that_leaves_gives_its_place_to_another(serve, recording):
    address, _ = serve(MAX_EVENT_STREAMS="1")
    job = submit(address, recording)
    first, _ = open_stream(address, job)

    _, refused = open_stream(address, job)
    first.close()

    assert refused == b"HTTP/1.1 503"
    wait_until(lambda: open_stream(address, job)[1] == b"HTTP/1.1 200", PING_EVERY_S / 2)
