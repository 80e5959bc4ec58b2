"""The log of what was said: looked at, said again, forgotten."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, update

from models import TranscriptionJob, WebhookDelivery
from services.webhooks.cleaning import remove_messages_of_gone_jobs, remove_old_messages
from services.webhooks.outcome import Answer

EVERYTHING = ["queued", "started", "progress", "completed", "failed", "dead_lettered", "cancelled"]


def refuse(*_):
    return Answer(500, None, 0.01)


def test_the_log_comes_in_pages_and_by_what_is_asked(client, make, finish, outbox, deliver):
    made = make(events=EVERYTHING)
    first = finish()
    finish()
    outbox()
    deliver()
    path = f"/webhooks/{made['id']}/deliveries"

    page = client.get(path, query_string={"limit": 4}).json
    rest = client.get(path, query_string={"limit": 4, "cursor": page["next_cursor"]}).json
    of_first = client.get(path, query_string={"job_id": str(first), "event": "completed"}).json
    failed = client.get(path, query_string={"status": "failed"}).json

    assert (len(page["deliveries"]), page["has_more"]) == (4, True)
    assert (len(rest["deliveries"]), rest["has_more"]) == (2, False)
    times = [entry["created_at"] for entry in page["deliveries"] + rest["deliveries"]]
    assert times == sorted(times, reverse=True)
    assert [(d["job_id"], d["status"]) for d in of_first["deliveries"]] == [
        (str(first), "delivered")
    ]
    assert failed["deliveries"] == []


def test_one_message_shows_what_was_sent_and_how_each_attempt_went(
    client, make, finish, outbox, deliver, receiver
):
    made = make(events=["completed"])
    finish()
    outbox()
    deliver()
    [listed] = client.get(f"/webhooks/{made['id']}/deliveries").json["deliveries"]

    shown = client.get(f"/webhooks/deliveries/{listed['id']}").json

    assert shown["body"].encode() == receiver.received[0].body
    assert shown["message_id"] == receiver.received[0].message_id
    assert [(line["status"], line["reason"]) for line in shown["log"]] == [(200, None)]
    assert "body" not in listed


def test_messages_to_addresses_of_jobs_are_in_the_tenants_log(client, finish, own_address, outbox):
    job_id = finish(webhook=own_address())
    outbox()

    [listed] = client.get("/webhooks/deliveries").json["deliveries"]

    assert (listed["job_id"], listed["webhook_id"]) == (str(job_id), None)


def test_a_test_message_is_sent_and_can_be_looked_at(client, make, deliver, receiver):
    made = make()

    sent = client.post(f"/webhooks/{made['id']}/test")
    deliver()

    shown = client.get(f"/webhooks/deliveries/{sent.json['id']}").json
    assert sent.status_code == 202
    assert (sent.json["event"], sent.json["job_id"]) == ("test", None)
    assert shown["status"] == "delivered"
    assert receiver.received[0].verify(made["secret"])["type"] == "webhook.test"


def test_a_message_is_sent_again_under_its_id(client, make, finish, outbox, deliver, receiver):
    make(events=["completed"])
    finish()
    outbox()
    deliver()
    [listed] = client.get("/webhooks/deliveries").json["deliveries"]

    answer = client.post(f"/webhooks/deliveries/{listed['id']}/retry")
    deliver()

    assert (answer.status_code, answer.json["status"]) == (202, "waiting")
    assert [received.message_id for received in receiver.received] == [listed["message_id"]] * 2
    shown = client.get(f"/webhooks/deliveries/{listed['id']}").json
    assert (shown["status"], len(shown["log"])) == ("delivered", 2)


@pytest.fixture
def three_hours(services, make, finish, outbox, deliver, messages):
    """An endpoint with a message of each of the last three hours: failed, failed, delivered."""
    made = make(events=["completed"])
    now = datetime.now(UTC)
    for hours, send in [(3, refuse), (2, refuse), (1, None)]:
        job_id = finish()
        outbox()
        deliver(send)
        status = "failed" if send else "delivered"
        with services.open_session() as session:
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.job_id == job_id)
                .values(
                    created_at=now - timedelta(hours=hours), status=status, next_attempt_at=None
                )
            )
    return made["id"], now


@pytest.mark.parametrize(
    ("since_h", "until_h", "status", "expected"),
    [
        (4, 0, None, 2),  # what failed, when nothing else is asked for
        (4, 0, "any", 3),
        (4, 0, "delivered", 1),
        (2.5, 0, "any", 2),
        (4, 2.5, "any", 1),
        (2, 1, "any", 1),  # from is inside the range and to is not
        (9, 8, "any", 0),
    ],
)
def test_messages_of_a_time_range_are_sent_again(
    client, three_hours, deliver, receiver, since_h, until_h, status, expected
):
    webhook_id, now = three_hours
    before = len(receiver.received)
    asked = {
        "from": (now - timedelta(hours=since_h)).isoformat(),
        "to": (now - timedelta(hours=until_h)).isoformat(),
        **({"status": status} if status else {}),
    }

    answer = client.post(f"/webhooks/{webhook_id}/replay", json=asked)
    sent = deliver()

    assert (answer.status_code, answer.json) == (202, {"count": expected})
    assert sent == len(receiver.received) - before == expected


def test_a_replay_is_oldest_first_and_waits_for_a_paused_endpoint(
    client, three_hours, deliver, receiver, messages
):
    webhook_id, now = three_hours
    receiver.received.clear()
    client.patch(f"/webhooks/{webhook_id}", json={"is_paused": True})
    client.post(
        f"/webhooks/{webhook_id}/replay",
        json={"from": (now - timedelta(hours=4)).isoformat(), "status": "any"},
    )
    while_paused = deliver()

    client.post(f"/webhooks/{webhook_id}/resume")
    deliver()

    order = [received.data["job_id"] for received in receiver.received[-3:]]
    assert while_paused == 0
    assert order == [str(row.job_id) for row in messages()]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"to": "2026-01-01"},
        {"from": "yesterday"},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "2026-01-01", "status": "waiting"},
    ],
)
def test_a_replay_of_no_range_is_refused(client, make, asked):
    answer = client.post(f"/webhooks/{make()['id']}/replay", json=asked)

    assert answer.status_code == 422


def test_messages_go_with_age_and_with_their_job(services, client, make, finish, outbox, messages):
    made = make(events=["completed"])
    purged, old, young = finish(), finish(), finish()
    client.post(f"/webhooks/{made['id']}/test")
    outbox()
    with services.open_session() as session:  # as if its messages had been written a moment later
        session.execute(delete(TranscriptionJob).where(TranscriptionJob.id == purged))
    days = timedelta(days=services.settings.keep_webhooks_days)
    with services.open_session() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.job_id == old)
            .values(created_at=func.now() - days)
        )

    gone = remove_messages_of_gone_jobs(services)
    aged = remove_old_messages(services)

    assert (gone, aged) == (1, 1)
    assert [row.event for row in messages() if row.job_id != young] == ["test"]
    assert len(messages()) == 2
