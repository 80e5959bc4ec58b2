"""Many recordings in one call, over real Postgres; addresses lead to a real server on loopback."""

import json
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from config import QUEUE_NORMAL
from domain.errors import AudioUnreadable, DatabaseUnavailable
from models import Batch, TranscriptionJob
from outgoing.rules import Rules
from services import batches
from services.batch_views import get_batch
from services.batches import wait_for_batch
from services.retention import remove_empty_batches
from services.transcription import run_job
from tests.integration.api.conftest import make_app
from tests.integration.api.event_reader import EventReader
from tests.peer import answer, peer

Job = TranscriptionJob


@pytest.fixture
def web(services):
    """A server of one's own network: every path but /none is a recording that holds its name."""

    def say(request, connection):
        path = request.line.split()[1]
        found = answer(status="404 Not Found") if path == "/none" else answer(path.encode())
        found(request, connection)

    with peer(say, is_tls=False) as served:
        rules = Rules(
            allowed=frozenset({("nas.lan", served.port)}), resolve=lambda host, port: ["127.0.0.1"]
        )
        object.__setattr__(services, "outgoing", rules)
        yield f"http://nas.lan:{served.port}"


@pytest.fixture
def files(services):
    root = services.storage.root
    return lambda: [path for path in root.rglob("*") if path.is_file()]


def post_files(client, *contents, **fields):
    data = {"files": [(BytesIO(c), f"{i}.wav") for i, c in enumerate(contents, start=1)], **fields}
    return client.post("/batches", data=data, content_type="multipart/form-data")


def jobs_of(services, batch_id):
    with services.open_session() as session:
        query = select(Job).where(Job.batch_id == UUID(batch_id)).order_by(Job.created_at)
        return session.scalars(query).all()


def count(services, table):
    with services.open_session() as session:
        return session.scalar(select(func.count()).select_from(table))


def refuse(*contents):
    """A probe that takes recordings with this content for no audio."""

    def probe_like(real):
        def probe(path):
            if path.read_bytes() in contents:
                raise AudioUnreadable("this is no audio")
            return real(path)

        return probe

    return probe_like


def test_addresses_become_jobs_with_options_of_their_own_and_shared_ones(client, services, web):
    body = {
        "name": "Monday",
        "model_size": "tiny",
        "language": "en",
        "items": [
            {"source_url": f"{web}/a.mp3", "name": "first", "labels": {"room": 5}},
            {"source_url": f"{web}/b.mp3", "language": "german", "priority": "high"},
        ],
    }

    found = client.post("/batches", json=body)

    jobs = jobs_of(services, found.json["batch_id"])
    assert found.status_code == 202
    assert found.headers["Location"] == f"/batches/{found.json['batch_id']}"
    assert [item["job_id"] for item in found.json["items"]] == [str(job.id) for job in jobs]
    assert [(item["number"], item["status"]) for item in found.json["items"]] == [
        (1, "pending"),
        (2, "pending"),
    ]
    assert [job.original_filename for job in jobs] == ["a.mp3", "b.mp3"]
    assert [(job.model_size, job.language) for job in jobs] == [("tiny", "en"), ("tiny", "de")]
    assert [job.priority for job in jobs] == [1, 0]
    assert (jobs[0].name, jobs[0].labels) == ("first", {"room": 5})
    assert (jobs[1].name, jobs[1].labels) == (None, {})


def test_one_bad_item_does_not_stop_the_others(client, services, web):
    items = [
        {"source_url": f"{web}/a.mp3"},
        {"source_url": f"{web}/none", "name": "lost"},
        {"source_url": "http://169.254.169.254/secret"},
        {"source_url": f"{web}/c.mp3", "model_size": "huge"},
        {"source_url": f"{web}/d.mp3", "beam_size": "many"},
        {"name": "no address"},
        {"source_url": f"{web}/e.mp3", "speed": 2},
        {"source_url": f"{web}/f.mp3", "labels": {"x": "a\0b"}},
        "no object",
        {"source_url": f"{web}/g.mp3"},
    ]

    found = client.post("/batches", json={"items": items})

    codes = [item["code"] for item in found.json["items"]]
    assert found.status_code == 207
    assert codes == [
        None,
        "source_unavailable",
        "source_url_refused",
        "option_invalid",
        "validation_error",
        "validation_error",
        "option_invalid",
        "validation_error",
        "validation_error",
        None,
    ]
    assert found.json["items"][4]["details"] == {"beam_size": ["Not a valid integer."]}
    assert len(jobs_of(services, found.json["batch_id"])) == 2


def test_a_batch_tells_how_its_items_stand_in_their_order(client, services, web):
    items = [
        {"source_url": f"{web}/a.mp3", "name": "a"},
        {"source_url": f"{web}/none", "name": "b"},
        {"source_url": f"{web}/c.mp3"},
    ]
    batch_id = client.post("/batches", json={"name": "n", "items": items}).json["batch_id"]
    client.delete(f"/transcribe/{jobs_of(services, batch_id)[0].id}")

    found = client.get(f"/batches/{batch_id}").json

    assert (found["name"], found["total"], found["is_finished"]) == ("n", 3, False)
    assert found["counts"] == {
        "pending": 1,
        "processing": 0,
        "completed": 0,
        "failed": 0,
        "cancelled": 1,
        "refused": 1,
    }
    assert found["progress"] == 0.5
    assert [(i["number"], i["status"], i["name"], i["code"]) for i in found["items"]] == [
        (1, "cancelled", "a", None),
        (2, "refused", "b", "source_unavailable"),
        (3, "pending", "c.mp3", None),
    ]


def test_the_items_come_in_pages(client, web):
    items = [{"source_url": f"{web}/{name}"} for name in ("a", "none", "c", "d", "none")]
    address = client.post("/batches", json={"items": items}).headers["Location"]

    first = client.get(f"{address}?limit=2").json
    second = client.get(f"{address}?limit=2&cursor={first['next_cursor']}").json
    third = client.get(f"{address}?limit=2&cursor={second['next_cursor']}").json

    pages = [[item["number"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [[1, 2], [3, 4], [5]]
    assert (second["has_more"], third["has_more"], third["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("cursor", ["x", "-1", "1234567", "1.0"])
def test_a_cursor_that_was_never_handed_out_is_refused(client, web, cursor):
    address = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}]}).headers[
        "Location"
    ]

    found = client.get(f"{address}?cursor={cursor}")

    assert (found.status_code, found.json["code"]) == (422, "cursor_invalid")


def test_several_files_of_a_form_become_jobs(client, services):
    found = post_files(client, b"one", b"two", model_size="tiny", name="n", labels='{"a": 1}')

    jobs = jobs_of(services, found.json["batch_id"])
    assert found.status_code == 202
    assert [job.original_filename for job in jobs] == ["1.wav", "2.wav"]
    assert [job.size_bytes for job in jobs] == [3, 3]
    assert [(job.model_size, job.labels) for job in jobs] == [("tiny", {"a": 1})] * 2
    assert client.get(found.headers["Location"]).json["name"] == "n"
    recordings = [client.get(f"/transcribe/{job.id}/audio").data for job in jobs]
    assert recordings == [b"one", b"two"]


def test_files_that_are_empty_too_large_or_no_audio_do_not_stop_the_others(services, files):
    mib = services.settings.model_copy(update={"max_upload_size_mb": 1})
    probe = refuse(b"text")(services.probe)
    client = make_app(replace(services, settings=mib, probe=probe)).test_client()

    found = post_files(client, b"one", b"", bytes(1024 * 1024 + 1), b"text", b"five")

    assert found.status_code == 207
    assert [item["code"] for item in found.json["items"]] == [
        None,
        "file_missing",
        "upload_too_large",
        "audio_unreadable",
        None,
    ]
    assert sorted(path.read_bytes() for path in files()) == [b"five", b"one"]
    names = [item["name"] for item in client.get(found.headers["Location"]).json["items"]]
    assert names == ["1.wav", "2.wav", "3.wav", "4.wav", "5.wav"]


def test_an_option_that_is_wrong_for_all_files_refuses_the_form_and_keeps_nothing(
    client, services, files
):
    found = post_files(client, b"one", b"two", language="klingon")

    assert (found.status_code, found.json["code"]) == (422, "option_invalid")
    assert files() == []
    assert count(services, Batch) == 0


def test_a_form_that_breaks_off_makes_no_job_and_leaves_nothing(client, services, files):
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nsound\r\n'

    found = client.post(
        "/batches", data=part + part, content_type="multipart/form-data; boundary=b"
    )

    assert (found.status_code, found.json["code"]) == (400, "upload_interrupted")
    assert files() == []
    assert count(services, Batch) == count(services, Job) == 0


def test_too_many_recordings_are_refused_before_any_is_kept(services, web, files):
    few = services.settings.model_copy(update={"max_batch_items": 2})
    client = make_app(replace(services, settings=few)).test_client()

    by_file = post_files(client, b"one", b"two", b"three")
    by_address = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}] * 3})

    assert [by_file.status_code, by_address.status_code] == [422, 422]
    assert by_file.json["details"]["maximum"] == by_address.json["details"]["maximum"] == 2
    assert files() == []


REFUSED = {
    "no items": ({"items": []}, "validation_error"),
    "nothing": ({}, "validation_error"),
    "a list": ([], "validation_error"),
    "an unknown field": ({"items": [{}], "speed": 2}, "option_invalid"),
    "a bad shared option": ({"items": [{}], "model_size": "huge"}, "option_invalid"),
    "no text": ({"items": [{}], "name": "a\0b"}, "validation_error"),
    "half a character": ({"items": [{}], "name": "\ud800"}, "validation_error"),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_a_body_that_is_no_batch_is_refused(client, services, body, code):
    found = client.post("/batches", data=json.dumps(body), content_type="application/json")

    assert (found.status_code, found.json["code"]) == (422, code)
    assert count(services, Batch) == 0


def test_a_form_without_files_and_a_body_of_another_type_are_refused(client):
    empty = client.post(
        "/batches", data={"name": "n"}, content_type="multipart/form-data; boundary=b"
    )
    text = client.post("/batches", data="a,b", content_type="text/csv")

    assert (empty.status_code, empty.json["code"]) == (422, "file_missing")
    assert (text.status_code, text.json["code"]) == (415, "media_type_unsupported")


def test_items_have_keys_that_make_them_happen_once(client, web):
    body = {"items": [{"source_url": f"{web}/a", "idempotency_key": "k1"}]}

    first = client.post("/batches", json=body)
    second = client.post("/batches", json=body)
    whole = client.post("/batches", json=body, headers={"Idempotency-Key": "k2"})

    assert first.json["items"][0]["job_id"] == second.json["items"][0]["job_id"]
    assert (whole.status_code, whole.json["code"]) == (422, "option_invalid")


def test_cancelling_a_batch_cancels_what_is_not_finished(client, services, web, worker):
    items = [{"source_url": f"{web}/{name}"} for name in "abc"]
    batch_id = client.post("/batches", json={"items": items}).json["batch_id"]
    run_job(worker, QUEUE_NORMAL)

    found = client.delete(f"/batches/{batch_id}")
    again = client.delete(f"/batches/{batch_id}")

    assert found.status_code == again.status_code == 200
    assert found.json["counts"]["completed"] == 1
    assert found.json["counts"]["cancelled"] == 2
    assert found.json["is_finished"] is True
    assert found.json["progress"] == 1.0


def test_nobody_else_sees_a_batch(client, services, web):
    batch_id = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}]}).json[
        "batch_id"
    ]
    with services.open_session() as session:
        session.execute(update(Batch).values(tenant="somebody else"))

    answers = [
        client.get(f"/batches/{batch_id}"),
        client.delete(f"/batches/{batch_id}"),
        client.get(f"/batches/{batch_id}/events"),
        client.get(f"/batches/{uuid4()}"),
        client.get("/batches/none"),
    ]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(404, "batch_not_found")] * 5
    assert client.get("/batches").json["batches"] == []
    assert jobs_of(services, batch_id)[0].status == "pending"


def test_batches_are_listed_newest_first_in_pages(client, web):
    ids = [
        client.post("/batches", json={"name": n, "items": [{"source_url": f"{web}/a"}]}).json[
            "batch_id"
        ]
        for n in "abc"
    ]

    first = client.get("/batches?limit=2").json
    second = client.get(f"/batches?limit=2&cursor={first['next_cursor']}").json

    listed = [batch["batch_id"] for page in (first, second) for batch in page["batches"]]
    assert listed == ids[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert first["batches"][0]["counts"]["pending"] == 1


def test_the_stream_of_a_batch_ends_when_it_is_finished(client, services, web, worker):
    items = [{"source_url": f"{web}/{name}"} for name in "ab"]
    batch_id = client.post("/batches", json={"items": items}).json["batch_id"]

    stream = EventReader(client.get(f"/batches/{batch_id}/events", buffered=False).iter_encoded())
    before = next(stream)
    for _ in items:
        run_job(worker, QUEUE_NORMAL)
    after = list(stream)[-1]

    assert (before.name, before.data["counts"]["pending"]) == ("summary", 2)
    assert (after.name, after.data["counts"]["completed"]) == ("summary", 2)
    assert after.data["is_finished"] is True


def test_waiting_for_a_batch_ends_with_the_first_change(client, services, web, monkeypatch):
    batch_id = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}]}).json[
        "batch_id"
    ]
    seen = []

    def change_meanwhile(seconds):
        seen.append(seconds)
        client.delete(f"/batches/{batch_id}")

    monkeypatch.setattr(batches, "sleep", change_meanwhile)
    found = client.get(f"/batches/{batch_id}?wait=30").json

    assert (found["is_finished"], found["items"][0]["status"]) == (True, "cancelled")
    assert len(seen) == 1


def test_waiting_longer_than_this_server_grants_is_refused(client, services, web):
    address = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}]}).headers[
        "Location"
    ]

    found = client.get(f"{address}?wait=301")

    assert (found.status_code, found.json["code"]) == (422, "option_invalid")


def test_waiting_for_a_finished_batch_returns_at_once(client, services):
    with services.open_session() as session:
        session.add(Batch(id=(batch_id := uuid4()), tenant="default"))

    found = wait_for_batch(services, batch_id, tenant="default", timeout_s=60)

    assert found.is_finished


def test_an_outage_in_the_middle_is_the_outcome_of_its_items(client, services, web, monkeypatch):
    real = batches.submit_job
    calls = []

    def sometimes(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise DatabaseUnavailable("the database does not answer")
        return real(*arguments)

    monkeypatch.setattr(batches, "submit_job", sometimes)
    items = [{"source_url": f"{web}/{name}"} for name in "abc"]

    found = client.post("/batches", json={"items": items})

    codes = [item["code"] for item in found.json["items"]]
    assert (found.status_code, codes) == (207, [None, "database_unavailable", None])


def test_a_batch_goes_when_its_jobs_are_gone(client, services, web):
    made = client.post("/batches", json={"items": [{"source_url": f"{web}/a"}]}).json
    refused = client.post("/batches", json={"items": [{"source_url": f"{web}/none"}]}).json
    with services.open_session() as session:
        session.execute(update(Batch).values(created_at=func.now() - timedelta(days=31)))

    removed = remove_empty_batches(services)

    assert removed == 1
    assert client.get(f"/batches/{refused['batch_id']}").status_code == 404
    assert get_batch(services, UUID(made["batch_id"]), tenant="default").total == 1
