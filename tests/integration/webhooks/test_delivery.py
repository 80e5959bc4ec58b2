"""Every message arrives once if the receiver takes it, and again until it does."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, func, update

import database
from models import TranscriptionJob, WebhookDelivery, WebhookEndpoint
from outgoing.rules import Rules
from services.jobs import purge_job
from services.webhooks.deliverer import Deliverer
from services.webhooks.deliveries import get_delivery, send_test
from services.webhooks.endpoints import (
    change_endpoint,
    get_endpoint,
    resume_endpoint,
    rotate_secret,
    rotate_tenant_secret,
)
from services.webhooks.outcome import Answer
from services.webhooks.queue import claim_next
from services.webhooks.schedule import DELAYS_S
from services.webhooks.sending import Sender

ENDS = ["completed"]


def refuse(*_):
    return Answer(500, None, 0.01)


def make_older(services, endpoint_id, **times):
    with services.open_session() as session:
        session.execute(
            update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).values(**times)
        )


def test_a_message_arrives_and_the_specifications_library_verifies_it(
    services, finish, endpoint, outbox, deliver, receiver, messages
):
    made = endpoint(events=ENDS)
    job_id = finish()
    outbox()

    deliver()

    [received] = receiver.received
    assert received.verify(made.secret)["data"]["job_id"] == str(job_id)
    assert received.headers["content-type"] == "application/json"
    [message] = messages()
    assert (message.status, message.attempts, message.next_attempt_at) == ("delivered", 1, None)
    assert message.delivered_at is not None
    assert received.message_id == get_delivery(services, "default", message.id).message_id
    assert [(line["status"], line["reason"]) for line in message.log] == [(200, None)]


def test_while_secrets_overlap_old_and_new_both_verify_and_later_only_the_new(
    services, finish, endpoint, outbox, deliver, receiver
):
    made = endpoint(events=ENDS)
    rotated = rotate_secret(services, "default", made.id, overlap_h=1)
    finish()
    outbox()
    deliver()
    make_older(services, made.id, old_secret_until=func.now() - timedelta(seconds=1))
    finish()
    outbox()
    deliver()

    during, after = receiver.received

    assert rotated.secret != made.secret
    during.verify(made.secret)
    during.verify(rotated.secret)
    after.verify(rotated.secret)
    assert len(after.headers["webhook-signature"].split()) == 1


def test_without_overlap_the_old_secret_is_worth_nothing_at_once(
    services, finish, endpoint, outbox, deliver, receiver
):
    made = endpoint(events=ENDS)
    rotate_secret(services, "default", made.id, overlap_h=0)
    finish()
    outbox()

    deliver()

    [received] = receiver.received
    assert len(received.headers["webhook-signature"].split()) == 1


def test_a_jobs_own_address_gets_the_tenants_signature_and_its_own_headers(
    services, finish, own_address, outbox, deliver, receiver
):
    secret = rotate_tenant_secret(services, "default", overlap_h=0).secret
    finish(webhook=own_address("/own?order=7", headers={"X-Shared": "word"}))
    outbox()

    deliver()

    [received] = receiver.received
    received.verify(secret)
    assert (received.path, received.headers["x-shared"]) == ("/own?order=7", "word")


def test_a_message_that_is_not_taken_is_sent_again_after_longer_and_longer_waits(
    services, finish, endpoint, outbox, deliver, messages, let_time_pass
):
    endpoint(events=ENDS)
    finish()
    outbox()

    attempts = deliver(refuse)
    for _ in DELAYS_S:
        assert deliver(refuse) == 0  # not before its time
        let_time_pass()
        attempts += deliver(refuse)
    let_time_pass()

    [message] = messages()
    assert attempts == message.attempts == len(DELAYS_S) + 1
    assert [line["retry_in_s"] for line in message.log] == [*DELAYS_S, None]
    assert (message.status, message.next_attempt_at) == ("failed", None)
    assert deliver(refuse) == 0


def test_every_attempt_sends_the_same_bytes_under_the_same_id(
    finish, endpoint, outbox, deliver, receiver, let_time_pass
):
    made = endpoint(events=ENDS)
    finish()
    outbox()
    receiver.answer = lambda _: 500 if len(receiver.received) < 3 else 200

    for _ in range(3):
        deliver()
        let_time_pass()

    assert len(receiver.received) == 3
    assert len({received.message_id for received in receiver.received}) == 1
    assert len({received.body for received in receiver.received}) == 1
    for received in receiver.received:
        received.verify(made.secret)


def test_a_receiver_that_asks_for_time_gets_it(finish, endpoint, outbox, deliver, messages):
    endpoint(events=ENDS)
    finish()
    outbox()

    deliver(lambda *_: Answer(429, None, 0.01, retry_after_s=777.0))

    assert [line["retry_in_s"] for line in messages()[0].log] == [777.0]


def test_no_session_of_the_database_is_open_while_a_request_is_under_way(
    services, finish, endpoint, outbox, deliver
):
    in_use = []
    endpoint(events=ENDS)
    finish()
    outbox()

    def send(*_):
        in_use.append(database.get_db_stats()["in_use"])
        return Answer(200, None, 0.01)

    deliver(send)

    assert in_use == [0]


def test_410_pauses_the_endpoint_and_keeps_its_messages(
    services, finish, endpoint, outbox, deliver, receiver, messages, let_time_pass
):
    made = endpoint(events=ENDS)
    finish()
    outbox()
    receiver.answer = lambda _: 410
    deliver()
    finish()
    outbox()
    let_time_pass()

    while_paused = deliver()

    paused = get_endpoint(services, "default", made.id)
    assert (paused.is_paused, paused.pause_reason) == (True, "gone")
    assert while_paused == 0
    assert [(row.status, row.next_attempt_at) for row in messages()] == [("waiting", None)] * 2


def test_what_waited_for_a_paused_endpoint_is_sent_when_it_is_resumed(
    services, finish, endpoint, outbox, deliver, receiver
):
    made = endpoint()
    change_endpoint(services, "default", made.id, {"is_paused": True})
    finish()
    outbox()
    while_paused = deliver()

    resumed = resume_endpoint(services, "default", made.id)
    deliver()

    assert while_paused == 0
    assert (resumed.is_paused, resumed.pause_reason) == (False, None)
    assert receiver.types() == ["job.queued", "job.started", "job.completed"]


def test_a_message_that_waits_for_its_next_attempt_waits_for_the_end_of_a_pause(
    services, finish, endpoint, outbox, deliver, receiver, let_time_pass
):
    made = endpoint(events=ENDS)
    finish()
    outbox()
    deliver(refuse)
    change_endpoint(services, "default", made.id, {"is_paused": True})
    let_time_pass()

    while_paused = deliver()
    resume_endpoint(services, "default", made.id)

    assert (while_paused, deliver()) == (0, 1)
    assert receiver.types() == ["job.completed"]


def test_410_of_a_jobs_own_address_ends_all_messages_to_it(
    finish, own_address, outbox, deliver, receiver, messages, let_time_pass
):
    finish(webhook=own_address(events=["queued", "started", "completed"]))
    outbox()
    receiver.answer = lambda _: 410

    deliver()
    let_time_pass()

    assert deliver() == 0
    assert len(receiver.received) == 1
    assert {row.status for row in messages()} == {"failed"}


def test_an_endpoint_that_fails_for_too_long_is_paused(
    services, finish, endpoint, outbox, deliver, let_time_pass
):
    made = endpoint(events=ENDS)
    finish()
    outbox()
    deliver(refuse)
    failing = get_endpoint(services, "default", made.id)
    long_ago = func.now() - timedelta(hours=services.settings.webhook_pause_after_h)
    make_older(services, made.id, failing_since=long_ago)
    let_time_pass()

    deliver(refuse)

    assert (failing.is_paused, failing.failing_since is None) == (False, False)
    assert get_endpoint(services, "default", made.id).pause_reason == "failing"


def test_one_success_ends_the_count_of_failing(
    services, finish, endpoint, outbox, deliver, let_time_pass
):
    made = endpoint(events=ENDS)
    finish()
    outbox()
    deliver(refuse)
    let_time_pass()

    deliver()

    assert get_endpoint(services, "default", made.id).failing_since is None


def test_a_test_message_reaches_a_paused_endpoint_once(
    services, endpoint, outbox, deliver, receiver, messages, let_time_pass
):
    made = endpoint()
    change_endpoint(services, "default", made.id, {"is_paused": True})
    send_test(services, "default", made.id)
    receiver.answer = lambda _: 500

    deliver()
    let_time_pass()

    assert deliver() == 0
    assert receiver.types() == ["webhook.test"]
    receiver.received[0].verify(made.secret)
    assert messages()[0].status == "failed"


def test_an_address_that_became_private_is_not_asked(
    services, finish, endpoint, outbox, deliver, receiver, messages
):
    endpoint(events=ENDS)
    finish()
    outbox()

    deliver(Sender(Rules()))

    assert receiver.received == []
    [message] = messages()
    assert (message.status, message.log[0]["reason"]) == ("waiting", "scheme_refused")


def test_a_message_of_a_job_that_is_gone_with_its_address_is_given_up(
    services, finish, own_address, outbox, deliver, messages
):
    job_id = finish(webhook=own_address())
    outbox()
    with services.open_session() as session:  # as if the message had been written a moment later
        session.execute(delete(TranscriptionJob).where(TranscriptionJob.id == job_id))

    deliver()

    [message] = messages()
    assert (message.status, message.log[0]["reason"]) == ("failed", "job_removed")


def test_a_job_that_is_removed_takes_its_messages_along(
    services, finish, own_address, outbox, messages
):
    job_id = finish(webhook=own_address())
    other_id = finish(webhook=own_address())
    outbox()

    purge_job(services, job_id)

    assert {message.job_id for message in messages()} == {other_id}


def test_a_bug_in_sending_is_an_attempt_that_failed(finish, endpoint, outbox, deliver, messages):
    endpoint(events=ENDS)
    finish()
    outbox()

    def send(*_):
        raise ValueError("a bug")

    deliver(send)

    [message] = messages()
    assert (message.status, message.log[0]["reason"]) == ("waiting", "internal_error")
    assert message.log[0]["retry_in_s"] == DELAYS_S[0]


def test_what_a_killed_sender_had_taken_is_sent_by_the_next_one(
    services, finish, endpoint, outbox, deliver, receiver, messages, let_time_pass
):
    endpoint(events=ENDS)
    finish()
    outbox()
    with services.open_session() as session:  # and it is never heard of again
        taken = claim_next(session, lease=timedelta(minutes=1))

    at_once = deliver()
    let_time_pass()
    later = deliver()

    assert taken.attempt == 1
    assert (at_once, later) == (0, 1)
    assert len(receiver.received) == 1
    assert [(row.status, row.attempts) for row in messages()] == [("delivered", 2)]


@pytest.mark.parametrize(("status", "expected"), [(200, "delivered"), (500, "waiting")])
def test_a_sender_that_was_frozen_cannot_write_over_the_next_ones_outcome(
    services, finish, endpoint, outbox, deliver, messages, let_time_pass, status, expected
):
    endpoint(events=ENDS)
    finish()
    outbox()
    frozen = Deliverer(services, lambda *_: Answer(202, None, 0.01))
    parcel = frozen._claim()
    let_time_pass()
    deliver(lambda *_: Answer(status, None, 0.01))

    frozen._deliver(parcel)

    [message] = messages()
    assert (message.status, [line["status"] for line in message.log]) == (expected, [status])


def test_a_message_that_failed_does_not_hold_up_those_behind_it(
    finish, endpoint, outbox, deliver, receiver
):
    endpoint()
    finish()
    outbox()
    receiver.answer = lambda received: 500 if received.type == "job.queued" else 200

    deliver()

    assert receiver.types() == ["job.queued", "job.started", "job.completed"]


def test_the_log_of_a_message_does_not_grow_for_ever(
    services, finish, endpoint, outbox, deliver, messages, let_time_pass
):
    endpoint(events=ENDS)
    finish()
    outbox()
    deliver(refuse)
    with services.open_session() as session:
        session.execute(update(WebhookDelivery).values(log=[{"at": "then", "status": 500}] * 100))
    let_time_pass()

    deliver()

    [message] = messages()
    assert len(message.log) == 100
    assert message.log[-1]["status"] == 200
