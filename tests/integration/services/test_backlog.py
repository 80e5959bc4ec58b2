"""What a synchronous request learns of the line before it stands in it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, update

from domain.errors import ServerBusy
from domain.lifecycle import JobStatus, Priority
from models import TranscriptionJob, WorkerProcess
from services.backlog import expected_wait_s, require_capacity
from services.estimates import Speeds
from services.jobs import cancel_job

Job = TranscriptionJob
ALL = "transcription.high,transcription.normal,transcription.retry"


class KnownSpeeds(Speeds):
    """Ten times real time for base; nothing is known of other models."""

    def of(self, services, model_size, device):
        return 10.0 if model_size == "base" else None


@pytest.fixture
def report(services):
    """Let a child have reported."""

    def report(child="host:1/2", *, queues=ALL, seen_s=0.0):
        with services.open_session() as session:
            session.execute(
                insert(WorkerProcess).values(
                    id=child,
                    worker=child.partition("/")[0],
                    pid=2,
                    queues=queues,
                    pool={},
                    seen_at=func.now() - timedelta(seconds=seen_s),
                )
            )

    return report


@pytest.fixture
def wait(services, submit):
    """A job that waits, of so many seconds of audio."""

    def wait(audio_s, *, priority=Priority.HIGH, model="base"):
        job_id = submit(placed={"priority": priority}, model_size=model)
        with services.open_session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(duration_s=audio_s))
        return job_id

    return wait


@pytest.fixture
def run(services, wait):
    """A job that a child works on."""

    def run(audio_s, *, child="host:1/2", progress=0.0, left_s=None):
        job_id = wait(audio_s)
        with services.open_session() as session:
            session.execute(
                update(Job)
                .where(Job.id == job_id)
                .values(
                    status=JobStatus.PROCESSING,
                    lease_owner=child,
                    lease_expires_at=func.now() + timedelta(seconds=60),
                    progress=progress,
                    time_left_s=left_s,
                )
            )

    return run


@pytest.fixture
def wait_s(services):
    return lambda: expected_wait_s(services, KnownSpeeds())


def test_nobody_knows_how_long_it_takes_without_a_worker(services, report, wait_s):
    report(seen_s=3600)
    report("host:2/1", queues="transcription.normal")

    assert wait_s() is None
    with pytest.raises(ServerBusy) as raised:
        require_capacity(services)
    assert raised.value.details["retry_after_s"] > 0


def test_an_idle_child_takes_an_urgent_job_at_once(services, report, run, wait_s):
    report("host:1/2")
    report("host:1/3")
    run(6_000.0, child="host:1/2")

    require_capacity(services)

    assert wait_s() == 0


def test_urgent_jobs_that_wait_are_reckoned_by_the_measured_speed(report, wait, wait_s):
    report()
    wait(300.0)
    wait(100.0)

    assert wait_s() == pytest.approx(40.0)


def test_normal_jobs_do_not_stand_before_an_urgent_one(report, wait, wait_s):
    report()
    wait(300.0)
    wait(9_000.0, priority=Priority.NORMAL)

    assert wait_s() == pytest.approx(30.0)


def test_a_cancelled_job_is_waited_for_by_nobody(services, report, wait, wait_s):
    report()
    cancel_job(services, wait(300.0))

    assert wait_s() == 0


def test_a_model_that_never_ran_is_taken_to_be_slow(report, wait, wait_s):
    report()
    wait(300.0, model="small")

    assert wait_s() == pytest.approx(300.0)


def test_what_runs_is_waited_for_until_its_end(report, run, wait_s):
    report()
    run(1_000.0, progress=0.75)

    assert wait_s() == pytest.approx(25.0)


def test_the_workers_own_estimate_is_believed_before_the_length(report, run, wait_s):
    report()
    run(1_000.0, left_s=7.0)

    assert wait_s() == pytest.approx(7.0)


def test_a_request_is_refused_when_its_job_would_wait_too_long(services, report, wait):
    report()
    impatient = replace(
        services, settings=services.settings.model_copy(update={"sync_max_wait_s": 100.0})
    )
    wait(112.5, model="small")

    with pytest.raises(ServerBusy) as raised:
        require_capacity(impatient)

    assert raised.value.details["retry_after_s"] == 13
