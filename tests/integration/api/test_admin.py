"""The operator's pages over HTTP, with the real services behind."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from io import BytesIO

import pytest

from api.schemas.health import AdminHealthSchema, ReadySchema
from api.schemas.storage import StorageSchema
from domain.errors import AudioUnreadable
from services.storage_audit import RowAudit
from services.transcription import run_job


@pytest.fixture
def fail_job(client, worker, model):
    def fail():
        def act(should_stop):
            raise AudioUnreadable("no sound in it")

        model.act = act
        answer = client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "a.mp3")})
        run_job(worker)
        return answer.json["job_id"]

    return fail


def test_ready_says_what_was_checked(client):
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    assert set(answer.json["checks"]) == {"database", "schema", "broker", "storage"}
    assert ReadySchema().validate(answer.json) == {}


def test_not_ready_names_what_is_missing(client, services):
    services.storage.root.parent.mkdir(parents=True, exist_ok=True)
    services.storage.root.write_text("a file where the folder should be")

    answer = client.get("/health/ready")

    services.storage.root.unlink()
    assert answer.status_code == 503
    assert answer.json["code"] == "not_ready"
    assert answer.json["message"] == "not ready: storage"
    assert answer.json["details"]["checks"]["storage"]["ok"] is False


def test_the_health_page_shows_exactly_what_is_documented(admin, fail_job):
    fail_job()

    answer = admin.get("/admin/health")

    assert answer.status_code == 200
    assert set(answer.json) == set(AdminHealthSchema().fields)
    assert answer.json["unresolved_errors"] == 1
    assert AdminHealthSchema().validate(answer.json) == {}


def test_a_dead_letter_can_be_read_and_retried(client, admin, fail_job, model, worker):
    job_id = fail_job()
    (listed,) = admin.get("/admin/errors?resolved=false").json["errors"]

    shown = admin.get(f"/admin/errors/{listed['id']}").json
    retried = admin.post(f"/admin/errors/{listed['id']}/retry")
    again = admin.post(f"/admin/errors/{listed['id']}/retry")
    model.act = lambda should_stop: None
    run_job(worker)

    assert (shown["job_id"], shown["type"]) == (job_id, "audio_unreadable")
    assert "AudioUnreadable" in shown["stack_trace"]
    assert shown["attempts"][0]["event"] == "submitted"
    assert (retried.status_code, retried.json["resolution"]) == (200, "retried")
    assert (again.status_code, again.json["code"]) == (409, "job_state_conflict")
    assert client.get(f"/transcribe/{job_id}").json["status"] == "completed"


def test_a_dead_letter_can_be_settled_with_a_note_or_without(admin, fail_job):
    fail_job()
    fail_job()
    second, first = admin.get("/admin/errors").json["errors"]

    with_note = admin.post(f"/admin/errors/{first['id']}/resolve", json={"note": "bad disk"})
    without = admin.post(f"/admin/errors/{second['id']}/resolve")

    assert with_note.json["resolution"] == "bad disk"
    assert (without.status_code, without.json["resolved"]) == (200, True)
    assert admin.get("/admin/errors?resolved=false").json["errors"] == []


def test_many_are_retried_at_once_with_an_answer_for_each(client, admin, fail_job):
    job_ids = [fail_job(), fail_job()]
    letters = admin.get("/admin/errors?type=audio_unreadable").json["errors"]

    answer = admin.post(
        "/admin/errors/retry", json={"ids": [*(letter["id"] for letter in letters), 2**62]}
    )

    done = {outcome["job_id"]: outcome["done"] for outcome in answer.json["outcomes"]}
    assert done == {job_ids[0]: True, job_ids[1]: True, None: False}
    assert answer.json["outcomes"][-1]["code"] == "error_log_not_found"
    assert len(client.get("/jobs/?status=pending").json["jobs"]) == 2


def test_all_of_a_type_are_settled_at_once(admin, fail_job):
    fail_job()

    nothing = admin.post("/admin/errors/resolve", json={"type": "out_of_memory"})
    everything = admin.post("/admin/errors/resolve", json={"type": "audio_unreadable"})

    assert nothing.json["outcomes"] == []
    assert [outcome["done"] for outcome in everything.json["outcomes"]] == [True]


@pytest.mark.parametrize("row_id", ["²", "x", "", "-1", "1.5"])
def test_a_cursor_that_no_page_gave_is_refused(admin, row_id):
    forged = urlsafe_b64encode(f"2026-01-01T00:00:00+00:00|{row_id}".encode()).decode()

    answer = admin.get("/admin/errors", query_string={"cursor": forged})

    assert (answer.status_code, answer.json["code"]) == (422, "cursor_invalid")


def test_dead_letters_come_in_pages(admin, fail_job):
    for _ in range(3):
        fail_job()

    first = admin.get("/admin/errors?limit=2").json
    second = admin.get(f"/admin/errors?limit=2&cursor={first['next_cursor']}").json

    assert (first["total"], first["has_more"], second["has_more"]) == (3, True, False)
    assert len({letter["id"] for page in (first, second) for letter in page["errors"]}) == 3


def test_dead_letters_are_found_by_job_and_time(admin, fail_job):
    job_id, _other = fail_job(), fail_job()

    by_job = admin.get("/admin/errors", query_string={"job_id": job_id}).json["errors"]
    (letter,) = by_job
    since = admin.get("/admin/errors", query_string={"created_from": letter["created_at"]}).json
    before = admin.get("/admin/errors", query_string={"created_to": letter["created_at"]}).json
    wrong = [
        admin.get("/admin/errors", query_string=query)
        for query in ({"job_id": "x"}, {"created_from": "yesterday"})
    ]

    assert letter["job_id"] == job_id
    assert (since["total"], before["total"]) == (2, 0)
    assert [(a.status_code, a.json["code"]) for a in wrong] == [(422, "validation_error")] * 2


def test_a_retry_may_change_options_and_priority(client, admin, fail_job, model, worker):
    job_id = fail_job()
    (letter,) = admin.get("/admin/errors").json["errors"]
    model.act = lambda should_stop: None

    answer = admin.post(
        f"/admin/errors/{letter['id']}/retry",
        json={"options": {"model_size": "tiny", "language": "English"}, "priority": "high"},
    )
    run_job(worker)

    job = client.get(f"/transcribe/{job_id}").json
    assert (answer.status_code, answer.json["kept_windows"]) == (200, 0)
    assert answer.json["attempts"][-1]["options"] == {"model_size": "tiny", "language": "en"}
    assert (job["status"], job["model_size"], job["priority"]) == ("completed", "tiny", "high")
    assert job["options"]["language"] == "en"


def test_what_was_given_up_for_good_answers_410(client, admin, fail_job):
    job_id = fail_job()
    (letter,) = admin.get("/admin/errors").json["errors"]

    expired = admin.post(f"/admin/errors/{letter['id']}/expire")
    retried = admin.post(f"/admin/errors/{letter['id']}/retry")
    audio = client.get(f"/transcribe/{job_id}/audio")

    assert (expired.status_code, expired.json["resolution"]) == (200, "expired")
    assert expired.json["recording_removed_at"] is not None
    for answer in (retried, audio):
        assert (answer.status_code, answer.json["code"]) == (410, "audio_gone")
    assert client.get(f"/transcribe/{job_id}").json["status"] == "failed"


@pytest.mark.parametrize("action", ["retry", "resolve", "expire"])
def test_an_action_on_no_dead_letter_is_404(admin, action):
    answer = admin.post(f"/admin/errors/1/{action}")

    assert (answer.status_code, answer.json["code"]) == (404, "error_log_not_found")


def test_what_is_not_failed_any_more_cannot_expire(admin, fail_job):
    fail_job()
    (letter,) = admin.get("/admin/errors").json["errors"]
    admin.post(f"/admin/errors/{letter['id']}/retry")

    answer = admin.post(f"/admin/errors/{letter['id']}/expire")

    assert (answer.status_code, answer.json["code"]) == (409, "job_state_conflict")
    assert answer.json["details"] == {"status": "pending"}


def test_many_are_retried_with_changes_or_expired_at_once(client, admin, fail_job):
    first, second = fail_job(), fail_job()
    ids = [letter["id"] for letter in admin.get("/admin/errors").json["errors"]]

    expired = admin.post("/admin/errors/expire", json={"ids": ids[:1]})
    retried = admin.post(
        "/admin/errors/retry",
        json={"type": "audio_unreadable", "options": {"model_size": "tiny"}, "priority": "high"},
    )

    assert [outcome["job_id"] for outcome in expired.json["outcomes"]] == [second]
    assert [outcome["job_id"] for outcome in retried.json["outcomes"]] == [first]
    job = client.get(f"/transcribe/{first}").json
    assert (job["status"], job["model_size"], job["priority"]) == ("pending", "tiny", "high")


def test_nothing_is_old_enough_to_expire_on_its_first_day(admin, fail_job):
    fail_job()

    answer = admin.post("/admin/errors/expire", json={"older_than_days": 1})

    assert (answer.status_code, answer.json) == (200, {"outcomes": []})


def test_the_store_is_shown_with_what_the_audit_found(client, admin, services):
    job_id = client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "a.mp3")}).json[
        "job_id"
    ]
    (key,) = services.storage.keys_older_than(timedelta(0))
    services.storage.delete(key)
    RowAudit().find_missing_files(services)

    answer = admin.get("/admin/storage")

    assert answer.status_code == 200
    assert set(answer.json) == set(StorageSchema().fields)
    assert StorageSchema().validate(answer.json) == {}
    assert answer.json["counts"] == {"file_without_row": 0, "row_without_file": 1}
    (finding,) = answer.json["findings"]
    assert (finding["kind"], finding["key"], finding["job_id"]) == ("row_without_file", key, job_id)
    assert finding["size_bytes"] == len(b"recording")


def test_a_store_that_does_not_answer_is_503(admin, services):
    services.storage.root.parent.mkdir(parents=True, exist_ok=True)
    services.storage.root.write_text("a file where the folder should be")

    answer = admin.get("/admin/storage")

    services.storage.root.unlink()
    assert (answer.status_code, answer.json["code"]) == (503, "storage_error")


def test_the_store_takes_no_parameters(admin):
    answer = admin.get("/admin/storage?limit=5")

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
