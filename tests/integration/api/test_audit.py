"""Every request that changes something leaves an entry; looking leaves none."""

from io import BytesIO

from domain.errors import DatabaseUnavailable
from services.audit import list_entries


def submit(client):
    return client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "a.mp3")}).json[
        "job_id"
    ]


def test_what_is_done_to_a_job_names_who_and_which(client, services):
    job_id = submit(client)
    client.get(f"/transcribe/{job_id}")
    client.delete(f"/transcribe/{job_id}")

    entries, _ = list_entries(services)

    assert [(entry.action, entry.target) for entry in entries] == [
        ("DELETE /transcribe/<string:job_id>", job_id),
        ("POST /transcribe/", job_id),
    ]
    assert {entry.tenant for entry in entries} == {"default"}
    assert all(entry.actor and entry.detail["request_id"] for entry in entries)


def test_what_was_refused_changed_nothing_and_is_not_there(client, services):
    client.delete("/transcribe/00000000-0000-0000-0000-000000000000")
    client.post("/transcribe/", data={"no": "file"})

    entries, _ = list_entries(services)

    assert entries == []


def test_the_operator_reads_the_log_over_http(admin, client):
    job_id = submit(client)

    answer = admin.get("/admin/audit", query_string={"target": job_id})

    assert answer.status_code == 200
    assert [entry["action"] for entry in answer.json["entries"]] == ["POST /transcribe/"]
    assert answer.json["next_before_id"] is None


def test_a_log_that_cannot_be_written_does_not_hide_what_was_done(client, monkeypatch, caplog):
    def away(*_):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("api.audit.record_action", away)

    answer = client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "a.mp3")})

    assert answer.status_code == 202
    assert "audit_not_written" in caplog.text
