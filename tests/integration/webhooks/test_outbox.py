"""What is told to whom: every event once, in order, and nothing that did not happen."""

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import BigInteger, Text, cast, func, select, text, update
from sqlalchemy import event as sql_event

import database
from domain.errors import AudioUnreadable
from models import (
    JobEvent,
    TranscriptionJob,
    TranscriptionResult,
    WebhookCursor,
    WebhookDelivery,
    WebhookEndpoint,
)
from services.dead_letter_views import list_errors
from services.dead_letters import retry_error
from services.history import note
from services.jobs import cancel_job
from services.webhooks import messages as webhook_messages
from services.webhooks.outbox import Outbox
from services.webhooks.progress import tell_progress
from services.webhooks.styles import STYLES, Style
from tests.integration.webhooks.conftest import OTHER


def events(rows):
    return [row.event for row in rows]


def damaged(_should_stop):
    raise AudioUnreadable("the recording cannot be decoded")


def test_the_life_of_a_job_is_told_in_its_order(finish, endpoint, outbox, messages):
    made = endpoint()
    job_id = finish(name="Interview 7", labels={"project": "archive"})

    written = outbox()

    rows = messages(endpoint_id=made.id)
    assert written == 3
    assert events(rows) == ["queued", "started", "completed"]
    completed = json.loads(rows[-1].body)
    assert completed["type"] == "job.completed"
    assert completed["data"] | {"model_used": "?"} == {
        "job_id": str(job_id),
        "status": "completed",
        "name": "Interview 7",
        "labels": {"project": "archive"},
        "batch_id": None,
        "attempt": 1,
        "result": f"/transcribe/{job_id}/result",
        "duration": 1.0,
        "language": "en",
        "model_used": "?",
        "word_count": 2,
    }
    assert "Hello there" not in "".join(row.body for row in rows)


def test_each_message_shows_the_job_as_it_was_then(finish, endpoint, outbox, messages):
    endpoint()
    finish()

    outbox()

    shown = [json.loads(row.body)["data"] for row in messages()]
    assert [data["status"] for data in shown] == ["pending", "processing", "completed"]
    assert [data["attempt"] for data in shown] == [0, 1, 1]


def test_an_endpoint_is_told_what_it_asked_for_and_no_more(finish, endpoint, outbox, messages):
    endpoint(events=["completed"])
    finish()

    outbox()

    assert events(messages()) == ["completed"]


def test_a_job_that_is_given_up_has_failed_and_is_a_dead_letter(
    finish, endpoint, outbox, messages, model
):
    model.act = damaged
    endpoint(events=["failed", "dead_lettered"])
    finish()

    outbox()

    rows = messages()
    assert events(rows) == ["failed", "dead_lettered"]
    data = json.loads(rows[0].body)["data"]
    assert (data["status"], data["error_type"]) == ("failed", "audio_unreadable")
    assert data["reason"]


def test_a_job_that_is_tried_again_by_hand_is_queued_again(
    services, finish, endpoint, outbox, messages, model
):
    model.act = damaged
    endpoint(events=["queued"])
    finish()
    [letter] = list_errors(services).errors

    retry_error(services, letter.id)
    outbox()

    assert events(messages()) == ["queued", "queued"]


def test_a_job_that_takes_an_earlier_result_is_told_as_completed(
    services, finish, submit, endpoint, outbox, messages
):
    finish()
    with services.open_session() as session:
        engine = services.settings.whisper_engine
        session.execute(update(TranscriptionResult).values(engine=engine))
    endpoint(events=["queued", "started", "completed"])

    submit(placed={"reuse_result": True})
    outbox()

    [row] = messages()
    assert row.event == "completed"
    assert json.loads(row.body)["data"]["word_count"] == 2


def test_a_cancelled_job_is_told(services, submit, endpoint, outbox, messages):
    endpoint(events=["cancelled"])
    cancel_job(services, submit())

    outbox()

    assert [json.loads(row.body)["data"]["status"] for row in messages()] == ["cancelled"]


def test_another_tenants_endpoint_hears_nothing(finish, endpoint, outbox, messages):
    theirs, mine = endpoint(tenant=OTHER), endpoint()
    finish()

    outbox()

    assert messages(endpoint_id=theirs.id) == []
    assert len(messages(endpoint_id=mine.id)) == 3
    assert {row.tenant for row in messages()} == {"default"}


def test_a_jobs_own_address_is_told_of_its_end(finish, own_address, outbox, messages):
    with_events = finish(webhook=own_address(events=["started"]))
    by_default = finish(webhook=own_address())

    outbox()

    assert events(messages(job_id=with_events)) == ["started"]
    assert events(messages(job_id=by_default)) == ["completed"]
    assert {row.endpoint_id for row in messages()} == {None}


def test_endpoint_and_own_address_are_both_told(finish, endpoint, own_address, outbox, messages):
    made = endpoint(events=["completed"])
    finish(webhook=own_address())

    outbox()

    assert {row.endpoint_id for row in messages()} == {made.id, None}


def test_what_was_before_the_first_start_is_not_told(services, finish, endpoint, messages):
    endpoint()
    with services.open_session() as session:
        session.execute(text("TRUNCATE webhook_cursors"))
    finish()

    Outbox().fill(services)

    assert messages() == []


def test_what_was_before_an_endpoint_was_made_is_not_told_to_it(
    services, finish, endpoint, outbox, messages
):
    finish()
    endpoint()

    Outbox().fill(services)

    assert messages() == []


def test_reading_everything_again_writes_nothing_twice(
    services, finish, endpoint, own_address, outbox, messages
):
    endpoint()
    finish(webhook=own_address())
    outbox()
    before = len(messages())
    with services.open_session() as session:
        session.execute(update(WebhookCursor).values(tx=0, event_id=0))

    written = Outbox().fill(services)

    assert written == 0
    assert len(messages()) == before == 4


def test_what_happens_after_a_restore_on_another_server_is_told(
    services, finish, endpoint, outbox, messages
):
    """Transactions are counted anew there, so the place in the backup lies far ahead."""
    made = endpoint(events=["completed"])
    told = finish()
    outbox()
    far_ahead = cast(cast(func.pg_current_xact_id(), Text), BigInteger) + 1_000_000
    with services.open_session() as session:
        session.execute(update(WebhookCursor).values(tx=far_ahead))
        session.execute(update(JobEvent).values(tx=far_ahead))
    new = finish()

    restored = Outbox()
    written = restored.fill(services)

    assert written == 1
    assert [row.job_id for row in messages(endpoint_id=made.id)] == [told, new]
    assert restored.fill(services) == Outbox().fill(services) == 0


def test_what_is_older_than_messages_are_kept_is_not_told_again(
    services, finish, endpoint, messages
):
    Outbox().fill(services)
    made = endpoint()
    finish()
    long_ago = timedelta(days=services.settings.keep_webhooks_days + 1)
    with services.open_session() as session:
        session.execute(update(JobEvent).values(at=JobEvent.at - long_ago))
        session.execute(
            update(WebhookEndpoint).values(created_at=WebhookEndpoint.created_at - 2 * long_ago)
        )

    Outbox().fill(services)

    assert messages(endpoint_id=made.id) == []


def test_two_that_read_at_once_write_nothing_twice(services, finish, endpoint, messages):
    Outbox().fill(services)
    endpoint()
    for _ in range(10):
        finish()
    start = threading.Barrier(4)

    def fill():
        start.wait()
        Outbox().fill(services)

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(messages()) == 30


def test_a_transaction_that_commits_late_is_not_passed_by(
    services, submit, endpoint, outbox, messages
):
    endpoint(events=["cancelled"])
    slow, fast = submit(), submit()
    outbox()

    with services.open_session() as session:
        note(session, slow, "cancelled", actor="test")  # its line has the lower id
        cancel_job(services, fast)
        outbox()
        while_it_runs = messages()
    outbox()

    assert while_it_runs == []
    assert {row.job_id for row in messages()} == {slow, fast}


def test_the_place_outlives_the_process(services, finish, endpoint, outbox, messages):
    made = endpoint()
    finish()
    outbox()
    finish()

    written = Outbox().fill(services)

    assert written == 3
    assert len(messages(endpoint_id=made.id)) == 6


def test_a_job_that_cannot_be_worded_silences_no_other(
    services, finish, endpoint, own_address, outbox, messages, monkeypatch
):
    monkeypatch.setitem(STYLES, "broken", Style(lambda notice: notice.nothing_of_that_name))
    endpoint(events=["completed"])
    finish(webhook=own_address(style="broken"))

    outbox()

    assert [row.endpoint_id is None for row in messages()] == [False]


def test_a_result_that_cannot_be_read_silences_no_other(
    services, finish, endpoint, own_address, outbox, messages, monkeypatch
):
    def fail(_row):
        raise TypeError("of an unknown kind")

    monkeypatch.setattr(webhook_messages, "transcript_of", fail)
    endpoint(events=["completed"])
    finish(webhook=own_address(style="deepgram"))

    outbox()

    assert [row.endpoint_id is None for row in messages()] == [False]


@pytest.fixture
def statements():
    found = []

    def listen(_connection, _cursor, statement, *_):
        found.append(statement)

    engine = database.get_engine()
    sql_event.listen(engine, "before_cursor_execute", listen)
    yield found
    sql_event.remove(engine, "before_cursor_execute", listen)


def test_where_nothing_happens_a_look_is_one_query(outbox, statements):
    outbox()

    assert len(statements) == 1


def test_where_nobody_listens_what_happens_costs_two_queries(finish, outbox, statements):
    finish()
    statements.clear()

    outbox()

    assert len(statements) == 2
    assert not [s for s in statements if "INSERT" in s or "UPDATE" in s.replace("FOR UPDATE", "")]


@pytest.fixture
def running(services, submit):
    """A job as it is while a worker works on it, as far as a test says."""

    def run(progress, **placed):
        job_id = submit(placed=placed)
        advance(services, job_id, progress)
        return job_id

    return run


def advance(services, job_id, progress):
    with services.open_session() as session:
        session.execute(
            update(TranscriptionJob)
            .where(TranscriptionJob.id == job_id)
            .values(
                status="processing",
                attempt=1,
                progress=progress,
                lease_expires_at=func.now() + timedelta(minutes=1),
            )
        )
        session.execute(update(JobEvent).where(JobEvent.job_id == job_id).values(status="pending"))


def age_messages(services):
    with services.open_session() as session:
        session.execute(
            update(WebhookDelivery).values(
                created_at=WebhookDelivery.created_at - timedelta(minutes=1)
            )
        )


def test_progress_is_told_when_it_moved_and_not_too_often(services, running, endpoint, messages):
    endpoint(events=["progress"])
    job_id = running(0.25)

    at_first = tell_progress(services)
    advance(services, job_id, 0.5)
    too_soon = tell_progress(services)
    age_messages(services)
    later = tell_progress(services)
    age_messages(services)
    unmoved = tell_progress(services)

    assert (at_first, too_soon, later, unmoved) == (1, 0, 1, 0)
    shown = [json.loads(row.body)["data"]["progress"] for row in messages()]
    assert shown == [0.25, 0.5]


def test_progress_goes_to_those_who_ask_for_it(services, running, endpoint, own_address, messages):
    endpoint(events=["completed"])
    endpoint(tenant=OTHER, events=["progress"])
    asking = running(0.5, webhook=own_address(events=["progress"]))
    running(0.5, webhook=own_address())

    tell_progress(services)

    assert [row.job_id for row in messages()] == [asking]


def test_where_nobody_asks_for_progress_it_costs_one_query(services, running, statements):
    running(0.5)
    statements.clear()

    tell_progress(services)

    assert len(statements) == 1
    with services.open_session() as session:
        assert session.scalar(select(func.count()).select_from(WebhookDelivery)) == 0
