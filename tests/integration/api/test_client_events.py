"""The stream of all jobs of a client, over real Postgres."""

import threading

import pytest
from sqlalchemy import text

import database
from api import sse
from services import event_hub
from services.history import record
from tests.integration.api.event_jobs import (  # noqa: F401 - fixtures, found by their names
    WORKER,
    hub,
    listen,
    segments,
    submit,
    work,
)

ME = {"X-Client-ID": "me"}


def events_of(lines):
    return [line.data["event"] for line in lines]


@pytest.fixture
def next_look(monkeypatch):
    """Waits until the hub has looked, from beginning to end."""
    looked = threading.Semaphore(0)
    read_page = event_hub.read_page

    def read_and_tell(*arguments):
        page = read_page(*arguments)
        looked.release()
        return page

    monkeypatch.setattr(event_hub, "read_page", read_and_tell)

    def wait():
        while looked.acquire(blocking=False):
            pass
        for _ in range(2):  # the first may have begun before
            assert looked.acquire(timeout=30)

    return wait


def test_a_client_hears_of_its_own_jobs_from_now_on(client, listen, work):  # noqa: F811
    submit(client, **ME)
    stream = listen("/jobs/events", headers=ME)
    submit(client, **{"X-Client-ID": "somebody-else"})
    mine = submit(client, **ME)
    submit(client)
    (submitted,) = stream.read(1)
    claim = work.claim()
    work.complete(claim, segments(0, 1))
    lines = stream.read(2)

    assert submitted.name == "transition"
    assert set(submitted.data) == {"job_id", "event", "status", "attempt", "at", "detail"}
    assert (submitted.data["job_id"], submitted.data["event"]) == (str(mine), "submitted")
    assert events_of(lines) == ["started", "completed"]
    assert {line.data["job_id"] for line in lines} == {str(claim.job_id)}
    assert "segments" not in str(lines)


def test_without_a_header_the_address_is_the_client(client, listen):  # noqa: F811
    stream = listen("/jobs/events", environ_base={"REMOTE_ADDR": "10.0.0.9"})
    submit(client)
    from_there = client.application.test_client()
    from_there.environ_base["REMOTE_ADDR"] = "10.0.0.9"
    mine = submit(from_there)

    (line,) = stream.read(1)

    assert line.data["job_id"] == str(mine)


def test_a_reader_that_comes_back_misses_nothing_and_hears_nothing_twice(client, listen):  # noqa: F811
    stream = listen("/jobs/events", headers=ME)
    jobs = [str(submit(client, **ME)) for _ in range(3)]
    seen = stream.read(3)

    for count, line in enumerate(seen, start=1):
        again = listen("/jobs/events", headers={**ME, "Last-Event-ID": line.id})
        later = str(submit(client, **ME))
        jobs.append(later)
        rest = again.read(len(jobs) - count)
        assert [each.data["job_id"] for each in rest] == jobs[count:]


def test_the_beginning_has_an_id_to_come_back_with(client, listen):  # noqa: F811
    stream = listen("/jobs/events", headers=ME)
    submit(client, **{"X-Client-ID": "somebody-else"})
    first = listen("/jobs/events", headers=ME)  # read up to its beginning
    mine = submit(client, **ME)
    stream.read(1)
    first.read(1)

    again = listen("/jobs/events", headers={**ME, "Last-Event-ID": "0-0"})

    assert again.read(1)[0].data["job_id"] == str(mine)


def test_many_pages_are_read_to_their_end(client, listen, monkeypatch):  # noqa: F811
    monkeypatch.setattr("services.client_stream.PAGE_LINES", 2)
    jobs = [str(submit(client, **ME)) for _ in range(5)]
    submit(client, **{"X-Client-ID": "somebody-else"})

    stream = listen("/jobs/events", headers={**ME, "Last-Event-ID": "0-0"})

    assert [line.data["job_id"] for line in stream.read(5)] == jobs


def test_what_becomes_visible_late_is_not_skipped(client, listen, next_look):  # noqa: F811
    slow, quick = submit(client, **ME), submit(client, **ME)
    stream = listen("/jobs/events", headers=ME)
    first, second = database.SessionLocal(), database.SessionLocal()
    record(first, slow, "aged", "pending", 0, WORKER)  # has the lower id
    record(second, quick, "aged", "pending", 0, WORKER)
    second.commit()
    stream_reader = threading.Thread(target=lambda: lines.extend(stream.read(2)))
    lines = []
    stream_reader.start()
    next_look()
    seen_early = list(lines)
    first.commit()
    stream_reader.join(30)
    first.close()
    second.close()

    assert seen_early == []
    assert [line.data["job_id"] for line in lines] == [str(slow), str(quick)]


def test_what_is_not_for_clients_is_left_out(client, listen, work):  # noqa: F811
    stream = listen("/jobs/events", headers=ME)
    job = submit(client, **ME)
    with work.session() as session:
        secret = {"stack_trace": "a stack", "reason": "why"}
        record(session, job, "reaped", "pending", 1, WORKER, secret)

    line = stream.read(2)[1]

    assert line.data["detail"] == {"reason": "why"}


@pytest.mark.parametrize("last_id", ["x", "1", "1.0", "1-", "-1", "1-2-3", "9" * 18 + "-0"])
def test_an_id_that_no_stream_gave_is_refused(client, hub, last_id):  # noqa: F811
    answer = client.get("/jobs/events", headers={"Last-Event-ID": last_id})

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
    assert hub.count == 0


def test_the_place_in_the_order_is_found_by_an_index(work):  # noqa: F811
    query = (
        "EXPLAIN SELECT 1 FROM job_events WHERE (tx, id) > (5, 5)"
        " AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY tx, id LIMIT 9"
    )
    with work.session() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(session.scalars(text(query)))

    assert "ix_events_tx" in plan
    assert "Sort" not in plan


def test_a_stream_ends_when_the_key_that_opened_it_is_revoked(
    client,
    listen,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(sse, "ASK_ABOUT_KEY_S", 0)
    made = client.post("/admin/keys", json={"name": "stolen", "scopes": ["read"]}).json
    stream = listen("/jobs/events", headers={**ME, "X-API-Key": made["key"]})
    submit(client, **ME)
    before = stream.read(1)

    client.delete(f"/admin/keys/{made['id']}")
    submit(client, **ME)

    assert events_of(before) == ["submitted"]
    assert list(stream) == []
