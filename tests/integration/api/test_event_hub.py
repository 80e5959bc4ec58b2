"""How streams are looked after: their number, their end, a database that goes away."""

import re
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event

import database
from api.current import EVENTS
from domain.errors import DatabaseUnavailable
from services import event_hub
from services.client_stream import open_client_stream
from services.event_hub import EventHub
from services.job_stream import JobCursor, open_job_stream
from services.queue_positions import QueuePositions
from tests.integration.api.conftest import make_app, wait_until
from tests.integration.api.event_jobs import (  # noqa: F401 - fixtures, found by their names
    hub,
    listen,
    names,
    segments,
    submit,
    work,
)
from tests.integration.api.event_reader import EventReader


def hub_threads():
    return [each for each in threading.enumerate() if each.name == "event-hub"]


@pytest.fixture
def statements(session_settings):
    """The statements that this process sends."""
    sent = []
    engine = database.get_engine()

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def test_a_stream_says_what_it_is(client, hub):  # noqa: F811
    answer = client.get(f"/transcribe/{submit(client)}/events")
    answer.close()

    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"


def test_a_silent_stream_gives_signs_of_life_with_the_place_to_come_back_to(
    client,
    hub,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(event_hub, "PING_EVERY_S", 0.001)
    answer = client.get("/jobs/events")

    ping = next(piece.decode() for piece in answer.response if b"ping" in piece)
    answer.close()

    assert re.fullmatch(r": ping\nid: \d+-0\n\n", ping)


def test_one_look_asks_as_many_questions_for_many_as_for_one(services, client, statements):
    def ask(listeners):
        hub = EventHub(services)  # noqa: F811
        for number in range(listeners):
            job = submit(client)
            stream, _ = open_job_stream(services, hub.positions, job, JobCursor())
            hub.reserve().stream = stream
            hub.reserve().stream = open_client_stream(services, f"client {number}", "")
        hub.positions = QueuePositions()  # the places are asked for anew
        statements.clear()
        hub._look(hub._attached())
        return len(statements)

    assert ask(1) == ask(9) == 6


def test_past_the_limit_there_is_503_until_one_leaves(services, client):
    few = replace(services, settings=services.settings.model_copy(update={"max_event_streams": 1}))
    app = make_app(few)
    browser, address = app.test_client(), f"/transcribe/{submit(client)}/events"

    first = browser.get(address)
    second = browser.get(address)
    head = browser.head(address)
    first.close()
    third = browser.get(address)
    third.close()

    assert (first.status_code, third.status_code) == (200, 200)
    assert (second.status_code, second.json["code"]) == (503, "too_many_streams")
    assert head.status_code == 503
    assert int(second.headers["Retry-After"]) > 0


def test_a_question_for_the_head_takes_no_place(client, hub):  # noqa: F811
    answer = client.head(f"/transcribe/{submit(client)}/events")

    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert hub.count == 0


def test_nobody_looks_when_nobody_listens(client, listen, work):  # noqa: F811
    stream = listen(f"/transcribe/{submit(client)}/events")
    stream.read(1)
    claim = work.claim()
    stream.until("started")
    are_there = hub_threads()
    work.complete(claim, [])
    list(stream)

    assert len(are_there) == 1
    wait_until(lambda: not hub_threads(), 30)


def test_streams_end_when_the_server_stops(client, listen, hub):  # noqa: F811
    of_job = listen(f"/transcribe/{submit(client)}/events")
    of_client = listen("/jobs/events", headers={"X-Client-ID": "me"})
    of_job.read(1)

    hub.close()
    late = listen(f"/transcribe/{submit(client)}/events")

    assert (list(of_job), list(of_client), names(late)) == ([], [], ["queued"])


def test_a_stream_outlives_a_database_that_goes_away(services, client, monkeypatch, work):  # noqa: F811
    monkeypatch.setattr(event_hub, "LOOK_EVERY_S", 0.01)
    is_away = threading.Event()

    @contextmanager
    def open_session():
        if is_away.is_set():
            raise DatabaseUnavailable("away")
        with services.open_session() as session:
            yield session

    app = make_app(replace(services, open_session=open_session))
    answer = app.test_client().get(f"/transcribe/{submit(client)}/events")
    stream = EventReader(answer.response)
    stream.read(1)
    claim = work.claim()
    stream.until("progress")
    is_away.set()
    hub = app.extensions[EVENTS]  # noqa: F811
    wait_until(lambda: hub._is_blind, 30)
    work.complete(claim, segments(0, 1))
    is_away.clear()
    rest = list(stream)
    answer.close()

    assert names(rest) == ["segments", "completed"]
    assert stream.comments == ["the database does not answer, waiting"]


def test_a_fault_of_ours_ends_the_streams_and_not_the_hub(client, listen, monkeypatch, caplog):  # noqa: F811
    address = f"/transcribe/{submit(client)}/events"
    with monkeypatch.context() as broken:
        broken.setattr(event_hub, "merge", lambda wanted: 1 / 0)
        ended = names(listen(address))
    stream = listen(address)
    (again,) = stream.read(1)

    assert ended == ["queued"]
    assert again.name == "queued"
    assert "event_look_crashed" in caplog.text
