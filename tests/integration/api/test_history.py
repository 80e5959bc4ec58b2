"""The history of a job over HTTP."""

from tests.integration.api.event_jobs import (  # noqa: F401 - fixtures, found by their names
    WORKER,
    submit,
    work,
)


def test_every_transition_is_listed_with_actor_and_attempt(client, work):  # noqa: F811
    job = submit(client)
    work.release(work.claim())
    work.fail(work.claim())
    work.requeue(job)

    answer = client.get(f"/transcribe/{job}/history")

    assert answer.status_code == 200
    assert [
        (line["event"], line["status"], line["attempt"], line["actor"]) for line in answer.json
    ] == [
        ("submitted", "pending", 0, "api"),
        ("started", "processing", 1, WORKER),
        ("released", "pending", 0, WORKER),
        ("started", "processing", 1, WORKER),
        ("dead_lettered", "failed", 1, WORKER),
        ("requeued", "pending", 0, "admin"),
    ]
    assert sorted(line["at"] for line in answer.json) == [line["at"] for line in answer.json]
    assert answer.json[4]["detail"]["message"] == "it broke"
    assert "a stack" not in answer.text
    assert "uploads" not in answer.text


def test_the_history_takes_no_options(client):
    answer = client.get(f"/transcribe/{submit(client)}/history?limit=1")

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
