"""Addresses that a submission brings along."""

from io import BytesIO

import pytest

from services.transcription import run_job


def submit_form(client, **fields):
    file = (BytesIO(b"recording"), "talk.wav")
    return client.post("/transcribe/", data={"file": file, **fields})


def test_a_submission_brings_its_address_along(client, receiver, worker, outbox, deliver):
    secret = client.post("/webhooks/rotate-secret").json["secret"]

    answer = submit_form(client, webhook_url=receiver.url, webhook_events="started, completed")
    run_job(worker)
    outbox()
    deliver()

    assert answer.status_code == 202
    assert receiver.types() == ["job.started", "job.completed"]
    for received in receiver.received:
        assert received.verify(secret)["data"]["job_id"] == answer.json["job_id"]


@pytest.mark.parametrize(
    ("fields", "code", "option"),
    [
        ({"webhook_url": "https://10.0.0.7/"}, "webhook_url_refused", "webhook_url"),
        ({"webhook_url": "{}", "webhook_events": "done"}, "option_invalid", "webhook_events"),
        ({"webhook_events": "completed"}, "option_invalid", "webhook_events"),
    ],
)
def test_a_submission_with_an_address_that_cannot_be_keeps_nothing(
    client, services, receiver, fields, code, option
):
    given = {name: value.format(receiver.url) for name, value in fields.items()}

    answer = submit_form(client, **given)

    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert answer.json["details"]["option"] == option
    assert client.get("/jobs/").json["jobs"] == []
    assert [path for path in services.storage.root.rglob("*") if path.is_file()] == []
