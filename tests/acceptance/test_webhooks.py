"""Webhooks of the whole server: a real job, a real receiver, and senders that are killed."""

import json
import threading

import pytest

from tests.acceptance.conftest import await_value
from tests.integration.webhooks.receiver import running_receiver


@pytest.fixture(scope="module")
def receiver():
    with running_receiver() as server:
        yield server


@pytest.fixture(autouse=True)
def friendly(receiver):
    """Every test begins with a receiver that takes everything."""
    receiver.answer = lambda _received: 200


@pytest.fixture(scope="module")
def server(make_server, receiver):
    """A server that may tell the receiver."""
    host, port = receiver.host_and_port
    return make_server(
        OUTGOING_ALLOW=f"{host}:{port}", WEBHOOK_TIMEOUT_S="5", WEBHOOK_PROGRESS_EVERY_S="0.5"
    )


@pytest.fixture
def endpoint(server, receiver):
    """Make an endpoint of a path of its own; it is removed in the end."""
    made = []

    def make(path, *events):
        answer = server.client.post(
            "/webhooks/", json={"url": receiver.url + path, "events": list(events)}
        )
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        return answer.json()

    yield make
    for endpoint_id in made:
        server.client.delete(f"/webhooks/{endpoint_id}")


def told(receiver, path, job_id):
    """What came to this path about this job, in its order."""
    return [
        received
        for received in receiver.received
        if received.path == path and received.data.get("job_id") == job_id
    ]


def await_type(receiver, path, job_id, wanted):
    return await_value(
        lambda: next((r for r in told(receiver, path, job_id) if r.type == wanted), None),
        60,
        f"{wanted} at {path}",
    )


def test_a_job_is_told_from_the_queue_to_its_end_and_every_message_verifies(
    server, receiver, endpoint, long_speech
):
    made = endpoint("/life", "queued", "started", "progress", "completed")

    job_id = server.submit(long_speech, decode_mode="sequential")
    job = server.await_job(job_id)
    completed = await_type(receiver, "/life", job_id, "job.completed")

    messages = told(receiver, "/life", job_id)
    types = [message.type for message in messages]
    shares = [m.data["progress"] for m in messages if m.type == "job.progress"]
    assert types[:2] == ["job.queued", "job.started"]
    assert types[-1] == "job.completed"
    assert set(types[2:-1]) == {"job.progress"}
    assert shares == sorted(set(shares))
    for message in messages:
        message.verify(made["secret"])
    assert completed.data["word_count"] == job["word_count"]
    result = server.client.get(completed.data["result"])
    assert result.json()["text"] == job["transcription"]
    assert job["transcription"][:40] not in completed.body.decode()


def test_a_jobs_own_address_is_told_with_the_tenants_signature(server, receiver, short_speech):
    secret = server.client.post("/webhooks/rotate-secret").json()["secret"]

    job_id = server.submit(short_speech, webhook_url=receiver.url + "/own")
    message = await_type(receiver, "/own", job_id, "job.completed")

    assert message.verify(secret)["data"]["status"] == "completed"


def test_a_sender_killed_in_the_middle_loses_nothing(server, receiver, endpoint, short_speech):
    made = endpoint("/kill", "completed")
    let_go = threading.Event()
    receiver.answer = lambda _received: 200 if let_go.wait(60) else 500
    job_id = server.submit(short_speech)
    first = await_type(receiver, "/kill", job_id, "job.completed")

    [reconciler] = server.find_processes("worker.py", "reconciler")
    reconciler.kill()
    let_go.set()
    delivered = await_value(lambda: log_of(server, made["id"], "delivered"), 120, "the next sender")

    again = told(receiver, "/kill", job_id)
    assert [(message.message_id, message.body) for message in again] == [
        (first.message_id, first.body)
    ] * 2
    assert [entry["status"] for entry in delivered] == ["delivered"]
    again[1].verify(made["secret"])


def log_of(server, endpoint_id, status):
    answer = server.client.get(f"/webhooks/{endpoint_id}/deliveries", params={"status": status})
    return answer.json()["deliveries"]


def test_no_secret_and_no_address_of_a_webhook_reaches_the_log(
    server, receiver, endpoint, short_speech
):
    made = endpoint("/hidden?token=between-us", "completed")
    job_id = server.submit(short_speech)
    await_type(receiver, "/hidden?token=between-us", job_id, "job.completed")

    log = server.log_text()

    assert "webhook_sent" in log
    assert made["secret"] not in log
    assert "between-us" not in log


def test_an_address_of_this_machine_is_refused_unless_it_was_allowed(server):
    ports = json.loads((server.folder / "run" / "ports.json").read_text())

    answer = server.client.post(
        "/webhooks/", json={"url": f"https://127.0.0.1:{ports['postgres']}/"}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_refused")
