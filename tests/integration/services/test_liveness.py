"""A worker that lives but takes no jobs is told from one that has none to take."""

import socket
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, update
from sqlalchemy.exc import ProgrammingError

from domain.errors import DatabaseUnavailable
from models import TranscriptionJob, WorkerProcess
from services.health import admin_health
from services.liveness import GONE_AFTER_S, seen_workers, worker_problem

Job = TranscriptionJob
DEAF_AFTER = timedelta(seconds=120)
HIGH, NORMAL, RETRY, DLQ = (
    "transcription.high",
    "transcription.normal",
    "transcription.retry",
    "transcription.dlq",
)
ALL = f"{HIGH},{NORMAL},{RETRY}"
HERE = f"{socket.gethostname()}:7"


def ago(seconds):
    return func.now() - timedelta(seconds=seconds)


@pytest.fixture
def report(services):
    """Let a child have reported. Its idle time is in seconds; None is at work."""

    def report(worker="host:1", pid=2, *, queues=ALL, idle_s=0, seen_s=0):
        with services.open_session() as session:
            session.execute(
                insert(WorkerProcess).values(
                    id=f"{worker}/{pid}",
                    worker=worker,
                    pid=pid,
                    queues=queues,
                    idle_since=None if idle_s is None else ago(idle_s),
                    pool={"hosts": [{"place": 0, "pool": {"hits": 0, "misses": 0}}]},
                    seen_at=ago(seen_s),
                )
            )

    return report


@pytest.fixture
def wait(services, submit):
    """A job that has waited and was rung for so many seconds ago."""

    def wait(seconds, *, rung_s=None, priority=1, attempt=0, **values):
        job_id = submit()
        with services.open_session() as session:
            session.execute(
                update(Job)
                .where(Job.id == job_id)
                .values(
                    {
                        "waiting_since": ago(seconds),
                        "published_at": ago(seconds if rung_s is None else rung_s),
                        "priority": priority,
                        "attempt": attempt,
                        **values,
                    }
                )
            )

    return wait


@pytest.fixture
def problems(services):
    def problems():
        with services.open_session() as session:
            return {worker.name: worker.problem for worker in seen_workers(session, DEAF_AFTER)}

    return problems


def test_an_idle_worker_beside_a_job_that_waits_takes_no_jobs(report, wait, problems):
    report(idle_s=300)
    wait(200)

    assert problems() == {
        "host:1": "takes no jobs: it has been idle for 300 s while a job on transcription.normal "
        "has waited for 200 s"
    }


@pytest.mark.parametrize(
    ("queues", "priority", "attempt"),
    [(ALL, 0, 0), (ALL, 1, 2), (HIGH, 0, 0), (RETRY, 1, 1)],
)
def test_it_is_deaf_on_whichever_queue_of_its_the_job_waits(
    report, wait, problems, queues, priority, attempt
):
    report(idle_s=300, queues=queues)
    wait(200, priority=priority, attempt=attempt)

    assert problems()["host:1"] is not None


@pytest.mark.parametrize(
    ("queues", "priority", "attempt"),
    [(HIGH, 1, 0), (HIGH, 1, 1), (NORMAL, 0, 0), (NORMAL, 1, 1), (DLQ, 1, 0), ("", 1, 0)],
)
def test_a_job_on_a_queue_that_it_does_not_consume_is_not_its_to_take(
    report, wait, problems, queues, priority, attempt
):
    report(idle_s=300, queues=queues)
    wait(200, priority=priority, attempt=attempt)

    assert problems() == {"host:1": None}


def test_one_idle_child_beside_busy_ones_is_enough(report, wait, problems):
    report(pid=2, idle_s=None)
    report(pid=3, idle_s=300)
    wait(200)

    assert problems()["host:1"] is not None


def test_only_the_worker_that_is_idle_has_a_problem(report, wait, problems):
    report("host:1", idle_s=None)
    report("host:2", idle_s=300)
    wait(200)

    found = problems()

    assert (found["host:1"], bool(found["host:2"])) == (None, True)


@pytest.mark.parametrize(
    ("idle_s", "waited_s", "rung_s"),
    [
        (None, 500, 500),  # at work
        (100, 500, 500),  # was at work until lately
        (500, 100, 100),  # the job came lately
        (500, 500, 100),  # the broker may have lost the first message
    ],
)
def test_whoever_may_still_be_about_to_take_the_job_has_no_problem(
    report, wait, problems, idle_s, waited_s, rung_s
):
    report(idle_s=idle_s)
    wait(waited_s, rung_s=rung_s)

    assert problems() == {"host:1": None}


@pytest.mark.parametrize(
    "values",
    [
        {"next_attempt_at": func.now() + timedelta(hours=1)},
        {"published_at": None},  # the broker was away, so nobody heard of it
        {"status": "cancelled"},
        {"status": "processing", "lease_expires_at": func.now() + timedelta(hours=1)},
    ],
)
def test_a_job_that_nobody_was_told_of_or_that_does_not_wait_is_nobodys_to_take(
    report, wait, problems, values
):
    report(idle_s=300)
    wait(200, **values)

    assert problems() == {"host:1": None}


def test_a_worker_that_does_not_report_any_more_is_not_seen(report, problems):
    report(seen_s=GONE_AFTER_S + 1)

    assert problems() == {}


def test_the_health_page_names_what_is_deaf_and_is_degraded(services, report, wait):
    report("host:1", idle_s=None)
    well = admin_health(services)
    report("host:2", idle_s=300)
    wait(200)

    ill = admin_health(services)

    assert (well["status"], ill["status"]) == ("healthy", "degraded")
    shown = {worker["worker"]: worker for worker in ill["workers"]}
    assert (shown["host:1"]["takes_jobs"], shown["host:1"]["problem"]) == (True, None)
    assert shown["host:2"]["takes_jobs"] is False
    assert "transcription.normal" in shown["host:2"]["problem"]
    assert shown["host:2"]["queues"] == (HIGH, NORMAL, RETRY)


def test_without_any_worker_the_health_page_is_degraded(services):
    assert admin_health(services)["status"] == "degraded"


def test_the_probe_looks_at_the_workers_of_this_host_alone(services, report, wait):
    report("elsewhere:1", idle_s=300)
    wait(200)
    before = worker_problem(services.open_session, DEAF_AFTER)

    report(HERE, idle_s=None)

    assert before == "no worker of this host has reported for 35 s"
    assert worker_problem(services.open_session, DEAF_AFTER) is None


def test_the_probe_names_the_deaf_one_of_this_host(services, report, wait):
    report(f"{socket.gethostname()}:1", idle_s=None)
    report(HERE, idle_s=300)
    wait(200)

    problem = worker_problem(services.open_session, DEAF_AFTER)

    assert problem.startswith(f"worker {HERE} takes no jobs: ")


def test_the_probe_of_one_worker_looks_at_no_other(services, report, wait):
    report("host:1", idle_s=None)
    report("host:2", idle_s=300)
    wait(200)

    assert worker_problem(services.open_session, DEAF_AFTER, "host:1") is None
    assert "idle" in worker_problem(services.open_session, DEAF_AFTER, "host:2")
    assert worker_problem(services.open_session, DEAF_AFTER, "host:3") == (
        "no worker host:3 has reported for 35 s"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseUnavailable("the database does not answer"), "the database does not answer"),
        (ProgrammingError("SELECT", {}, Exception("no table")), "ProgrammingError"),
    ],
)
def test_the_probe_says_when_it_cannot_ask(error, said):
    @contextmanager
    def open_session():
        raise error
        yield

    assert said in worker_problem(open_session, DEAF_AFTER)
