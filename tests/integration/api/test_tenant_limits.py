"""An operator changes what a tenant may use, and it holds from the next request on."""

from datetime import UTC, datetime
from io import BytesIO

import pytest

from services.tenant_limits import KNOWN, default_limits

DEFAULT = "/admin/tenants/default/limits"


@pytest.fixture(autouse=True)
def known():
    KNOWN.forget()
    yield
    KNOWN.forget()


def submit(client, content=b"recording", **headers):
    form = {"file": (BytesIO(content), "talk.wav")}
    return client.post("/transcribe/", data=form, headers=headers)


def test_limits_are_read_set_and_changed(admin, services):
    before = admin.get(DEFAULT).json
    put = admin.put(DEFAULT, json={"waiting_jobs": 7, "running_jobs": 2}).json
    patched = admin.patch(DEFAULT, json={"waiting_jobs": None, "audio_hours_per_day": 1.5}).json

    assert before["limits"] == default_limits(services.settings).to_dict()
    assert before["overrides"] == {}
    assert put["limits"]["waiting_jobs"] == 7
    assert patched["overrides"] == {"running_jobs": 2, "audio_hours_per_day": 1.5}
    assert patched == admin.get(DEFAULT).json
    assert patched["tenant"] == "default"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"waiting_jobs": -1}, "waiting_jobs"),
        ({"waiting_jobs": 1.5}, "waiting_jobs"),
        ({"waiting_jobs": True}, "waiting_jobs"),
        ({"waiting_jobs": "many"}, "waiting_jobs"),
        ({"bytes_per_day": 10**16}, "bytes_per_day"),
        ({"audio_hours_per_day": True}, "audio_hours_per_day"),
        ({"jobs": 5}, "jobs"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_name(admin, body, field):
    answer = admin.put(DEFAULT, json=body)

    assert answer.status_code == 422
    assert field in answer.text
    assert admin.get(DEFAULT).json["overrides"] == {}


@pytest.mark.parametrize("name", ["nobody", "%00", "..%2f.."])
def test_a_tenant_that_is_not_there_is_not_found(admin, name):
    answers = [
        admin.get(f"/admin/tenants/{name}/limits"),
        admin.patch(f"/admin/tenants/{name}/limits", json={}),
    ]

    assert {answer.status_code for answer in answers} == {404}


def test_requests_are_counted_from_the_next_one_on(admin, client):
    admin.patch(DEFAULT, json={"requests_per_minute": 2})

    answers = [client.get("/jobs/") for _ in range(3)]
    admin.patch(DEFAULT, json={"requests_per_minute": 0})
    free = client.get("/jobs/")

    assert [answer.status_code for answer in answers][-1] == 429
    assert answers[0].headers["RateLimit-Limit"] == "2"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert free.status_code == 200
    assert "RateLimit-Limit" not in free.headers


def test_a_submission_without_room_is_refused_and_one_that_is_repeated_is_not(
    admin, client, services
):
    first = submit(client, **{"Idempotency-Key": "order-17"})
    admin.patch(DEFAULT, json={"waiting_jobs": 1})

    again = submit(client, **{"Idempotency-Key": "order-17"})
    refused = submit(client, b"another")

    assert (again.status_code, again.json["job_id"]) == (202, first.json["job_id"])
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_jobs")
    assert int(refused.headers["Retry-After"]) >= 1


def test_the_same_key_for_something_else_is_a_conflict(client):
    submit(client, **{"Idempotency-Key": "order-17"})

    answer = submit(client, b"another", **{"Idempotency-Key": "order-17"})

    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")


def test_a_raw_upload_is_repeated_as_a_form_is(client):
    answers = [
        client.put("/transcribe/", data=b"recording", headers={"Idempotency-Key": "order-18"})
        for _ in range(2)
    ]

    assert answers[0].json == answers[1].json
    assert answers[1].headers["Idempotency-Replayed"] == "true"


def test_usage_is_shown_by_day_to_the_tenant_and_to_the_operator(client, admin):
    submit(client)
    today = datetime.now(UTC).date().isoformat()

    own = client.get("/usage").json
    everybody = admin.get(f"/admin/usage?from={own['from']}&to={own['to']}&tenant=default").json

    assert own == everybody
    assert own["days"] == [
        {
            "tenant": "default",
            "day": own["to"],
            "jobs_submitted": 1,
            "jobs_completed": 0,
            "submitted_audio_s": 1.0,
            "audio_s": 0.0,
            "compute_s": 0.0,
            "bytes": 9,
        }
    ]
    assert own["to"] <= today


@pytest.mark.parametrize(
    "query", ["from=2026-03-02&to=2026-03-01", "from=yesterday", "to=2026-13-01", "day=2026-01-01"]
)
def test_days_that_cannot_be_are_refused(client, query):
    assert client.get(f"/usage?{query}").status_code == 422


def test_a_server_without_workers_says_when_to_come_again(client):
    form = {"file": (BytesIO(b"recording"), "talk.wav"), "model": "base"}

    answer = client.post("/v1/audio/transcriptions", data=form)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"


@pytest.mark.parametrize(
    "address",
    [
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/speech-to-text",
        "/v1/listen",
        "/v2/upload",
        "/v2/transcript",
        "/batches",
        "/uploads",
    ],
)
def test_every_door_keeps_to_the_limits_before_it_reads(admin, client, address):
    admin.patch(DEFAULT, json={"waiting_jobs": 1})
    submit(client)

    answer = client.post(address, data=b"never looked at")
    admin.patch(DEFAULT, json={"requests_per_minute": 1})
    client.get("/jobs/")
    too_many = client.post(address, data=b"never looked at")

    assert (answer.status_code, too_many.status_code) == (429, 429)
    assert int(answer.headers["Retry-After"]) >= 1
    assert too_many.headers["RateLimit-Remaining"] == "0"
    assert "1 requests a minute" in too_many.text
