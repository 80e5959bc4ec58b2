"""Senders side by side: many threads and processes, slow receivers, and the end of a sender."""

import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from outgoing.rules import Rules
from services.webhooks.addresses import job_webhook
from services.webhooks.deliverer import Deliverer
from services.webhooks.outcome import Answer
from services.webhooks.sending import Sender
from tests.integration.services.watching import Outage, await_that
from tests.integration.webhooks.conftest import OTHER
from tests.integration.webhooks.receiver import running_receiver

ENDS = ["completed"]


def threads_of(services, count=1):
    """Senders as several processes would run them, for the time of the block."""
    stack = ExitStack()
    for _ in range(count):
        stack.enter_context(Deliverer(services, Sender(services.outgoing)).running())
    return stack


def test_many_senders_deliver_each_message_once(
    services, finish, endpoint, own_address, outbox, receiver, messages
):
    endpoint("/a")
    endpoint("/b", tenant=OTHER)
    for number in range(12):
        tenant = OTHER if number % 2 else "default"
        finish(tenant=tenant, webhook=own_address(events=["queued", "completed"]))
    outbox()
    expected = len(messages())

    with threads_of(services, count=3):
        await_that(lambda: {row.status for row in messages()} == {"delivered"})

    assert expected == 12 * 5
    assert len(receiver.received) == expected
    assert len({received.message_id for received in receiver.received}) == expected


def test_the_next_message_of_a_job_waits_for_the_one_under_way_and_other_jobs_do_not(
    services, finish, endpoint, outbox, receiver, messages
):
    endpoint()
    slow, quick = finish(), finish()
    outbox()
    let_go = threading.Event()
    receiver.answer = lambda received: (
        200 if received.data["job_id"] != str(slow) or let_go.wait(30) else 500
    )

    with threads_of(services):
        await_that(lambda: {r.status for r in messages(job_id=quick)} == {"delivered"})
        meanwhile = [r.type for r in receiver.received if r.data["job_id"] == str(slow)]
        let_go.set()
        await_that(lambda: {row.status for row in messages()} == {"delivered"})

    assert meanwhile == ["job.queued"]
    for job_id in (slow, quick):
        of_job = [r.type for r in receiver.received if r.data["job_id"] == str(job_id)]
        assert of_job == ["job.queued", "job.started", "job.completed"]


@pytest.fixture
def hold(receiver):
    """Let requests to /slow take until the test lets go of them."""
    let_go = threading.Event()
    receiver.answer = lambda received: (
        200 if not received.path.startswith("/slow") or let_go.wait(30) else 500
    )
    yield let_go
    let_go.set()


def test_a_slow_endpoint_does_not_hold_up_another(
    services, finish, endpoint, outbox, receiver, messages, hold
):
    endpoint("/slow")
    quick = endpoint("/quick")
    for _ in range(6):
        finish()
    outbox()

    with threads_of(services):
        await_that(lambda: {r.status for r in messages(endpoint_id=quick.id)} == {"delivered"})
        slow_requests = receiver.types("/slow")
        hold.set()
        await_that(lambda: {row.status for row in messages()} == {"delivered"})

    assert len(slow_requests) <= 2
    assert len(receiver.received) == 36


def test_many_slow_endpoints_of_a_tenant_do_not_hold_up_another_tenant(
    services, finish, endpoint, outbox, receiver, messages, hold
):
    for number in range(8):
        endpoint(f"/slow/{number}")
    endpoint("/theirs", tenant=OTHER)
    for _ in range(3):
        finish()
    finish(tenant=OTHER)
    outbox()

    with threads_of(services):
        await_that(lambda: {r.status for r in messages(tenant=OTHER)} == {"delivered"})
        are_all_delivered = {row.status for row in messages()} == {"delivered"}
        hold.set()

    assert receiver.types("/theirs") == ["job.queued", "job.started", "job.completed"]
    assert not are_all_delivered


def test_a_slow_address_of_jobs_does_not_hold_up_those_of_other_hosts(
    services, finish, outbox, receiver, messages, hold
):
    with running_receiver() as other:
        both = Rules(allowed=frozenset({receiver.host_and_port, other.host_and_port}))
        reaching = replace(services, outgoing=both)
        for _ in range(6):
            finish(webhook=job_webhook(reaching, receiver.url + "/slow"))
        quick = finish(webhook=job_webhook(reaching, other.url))
        outbox()

        with threads_of(reaching):
            await_that(lambda: {r.status for r in messages(job_id=quick)} == {"delivered"})
            slow_requests = receiver.types("/slow")
            hold.set()
            await_that(lambda: {row.status for row in messages()} == {"delivered"})

    assert len(slow_requests) <= 2
    assert (len(receiver.received), len(other.received)) == (6, 1)


def test_a_stop_waits_for_what_is_under_way_and_writes_it_down(
    services, finish, endpoint, outbox, receiver, messages, hold
):
    endpoint("/slow", events=ENDS)
    finish()
    outbox()

    with threads_of(services):
        await_that(lambda: receiver.types("/slow"))
        hold.set()

    assert [row.status for row in messages()] == ["delivered"]


def test_an_outage_of_the_database_ends_no_sender(
    services, finish, endpoint, outbox, receiver, messages, monkeypatch
):
    endpoint(events=ENDS)
    finish()
    outbox()
    outage = Outage(services)
    outage.is_on = True
    monkeypatch.setattr("services.webhooks.deliverer.OUTAGE_WAIT_S", 0.01)

    with Deliverer(outage.services, Sender(services.outgoing)).running():
        await_that(lambda: outage.refused > 1)
        outage.is_on = False
        await_that(lambda: [row.status for row in messages()] == ["delivered"])

    assert len(receiver.received) == 1


def test_a_bug_in_a_sender_is_logged_and_ends_no_other(
    services, finish, endpoint, outbox, messages, caplog
):
    endpoint(events=ENDS)
    finish()
    outbox()

    def draw():
        raise ZeroDivisionError

    with Deliverer(services, lambda *_: Answer(200, None, 0.0), draw=draw).running():
        await_that(lambda: "webhook_crashed" in caplog.text)

    assert "ZeroDivisionError" in caplog.text
    assert [row.status for row in messages()] == ["waiting"]


def test_settings_bound_the_threads(services, finish, endpoint, outbox, receiver, messages, hold):
    few = replace(services, settings=services.settings.model_copy(update={"webhook_threads": 1}))
    endpoint("/slow", events=ENDS)
    endpoint("/slow/too", events=ENDS)
    finish()
    outbox()

    with threads_of(few):
        await_that(lambda: receiver.received)
        first = len(receiver.received)
        hold.set()
        await_that(lambda: {row.status for row in messages()} == {"delivered"})

    assert first == 1


def test_an_outage_after_a_message_arrived_does_not_send_it_twice(
    services, finish, endpoint, outbox, messages, monkeypatch
):
    monkeypatch.setattr("services.webhooks.deliverer.OUTAGE_WAIT_S", 0.01)
    endpoint(events=ENDS)
    finish()
    outbox()
    outage = Outage(services)
    sent = []

    def send(*_):
        sent.append(outage.refused)
        outage.is_on = True
        return Answer(200, None, 0.01)

    with Deliverer(outage.services, send).running():
        await_that(lambda: outage.refused > 2)
        outage.is_on = False
        await_that(lambda: [row.status for row in messages()] == ["delivered"])

    [message] = messages()
    assert len(sent) == 1
    assert (message.attempts, len(message.log)) == (1, 1)
