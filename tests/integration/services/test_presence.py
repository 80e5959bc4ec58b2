import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import event, select, update

import database
from domain.errors import DatabaseUnavailable
from models import WorkerProcess
from services.consumed_queues import CONSUMED
from services.presence import MIN_GAP_S, Presence
from tests.integration.embedded.waiting import wait_until

JOB = uuid4()


@pytest.fixture
def presence(worker):
    return Presence(worker)


@pytest.fixture
def row(services):
    """The report as it stands in the database; None before the first."""

    def row():
        with services.open_session() as session:
            return session.scalars(select(WorkerProcess)).one_or_none()

    return row


@pytest.fixture
def queues(monkeypatch):
    monkeypatch.setattr(CONSUMED, "names", ("transcription.high", "transcription.normal"))


@pytest.fixture
def statements(services):
    """The statements of this process that wrote a report."""
    seen = []

    def note(_connection, _cursor, statement, *_):
        if "INSERT INTO worker_processes" in statement:
            seen.append(statement)

    engine = database.get_engine()
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_a_report_says_which_queues_the_worker_consumes(presence, row, queues):
    presence.report()

    assert row().queues == "transcription.high,transcription.normal"


def test_a_child_is_idle_since_its_last_job_and_not_since_its_last_report(presence, row):
    presence.report()
    first = row()
    presence.report()
    second = row()

    assert first.idle_since == first.seen_at
    assert second.idle_since == first.idle_since
    assert second.seen_at > first.seen_at


def test_a_child_at_work_is_not_idle(presence, row):
    presence.report()

    presence.set_job(JOB)
    presence.report()

    assert (row().job_id, row().idle_since) == (JOB, None)


def test_a_job_that_came_and_went_between_two_reports_ends_the_idleness(presence, row):
    presence.report()
    first = row()

    presence.set_job(JOB)
    presence.set_job(None)
    presence.report()

    assert row().job_id is None
    assert row().idle_since > first.idle_since


def test_a_child_that_follows_one_of_the_same_number_begins_anew(services, worker, row):
    Presence(worker).report()
    with services.open_session() as session:
        session.execute(update(WorkerProcess).values(idle_since="2020-01-01T00:00:00Z"))

    Presence(worker).report()

    assert row().idle_since.year > 2020


def test_idleness_that_could_not_be_reported_is_reported_later(services, worker, row):
    away = iter([False, True, False])

    def open_session():
        if next(away):
            raise DatabaseUnavailable("away")
        return services.open_session()

    presence = Presence(replace(worker, base=replace(services, open_session=open_session)))
    presence.set_job(JOB)
    presence.report()
    presence.set_job(None)

    presence.report()
    during = row()
    presence.report()

    assert (during.job_id, during.idle_since) == (JOB, None)
    assert row().idle_since is not None


def test_many_jobs_are_reported_in_few_statements_and_the_end_of_the_last_soon(
    worker, row, statements
):
    over = threading.Event()

    def describe_hosts():
        if over.is_set():
            threading.Event().wait()  # for ever: the thread must not report into the next test
        return []

    presence = Presence(replace(worker, describe_hosts=describe_hosts))
    presence.start()
    wait_until(row)

    work = threading.Event()
    for _ in range(200):
        presence.set_job(JOB)
        work.wait(0.005)
        presence.set_job(None)
    presence.set_job(JOB)
    wait_until(lambda: row().job_id == JOB, timeout_s=10 * MIN_GAP_S)
    presence.set_job(None)
    wait_until(lambda: row().job_id is None, timeout_s=10 * MIN_GAP_S)
    over.set()
    presence.set_job(None)

    assert len(statements) < 10
