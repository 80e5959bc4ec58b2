"""Waiting for a job on behalf of a client, on a real database that is away now and then."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from domain.errors import (
    AudioUnreadable,
    DatabaseUnavailable,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTimedOut,
)
from services.jobs import cancel_job, get_job, purge_job
from services.synchronous import (
    ClientGone,
    await_transcript,
    finished_transcript,
    leave_job,
)
from services.transcription import run_job

TENANT = "default"


class Outage:
    """Services whose database is away for some of the times that it is asked."""

    def __init__(self, services):
        self.away = []  # whether, question by question; afterwards it is there
        self.asked = 0
        self.services = replace(
            services,
            open_session=self._guarded(services.open_session),
            open_statement=self._guarded(services.open_statement),
        )

    def _guarded(self, open_session):
        @contextmanager
        def opened():
            self.asked += 1
            if self.away and self.away.pop(0):
                raise DatabaseUnavailable("the database does not answer")
            with open_session() as session:
                yield session

        return opened


@pytest.fixture
def outage(services):
    return Outage(services)


def here():
    """A client that stays."""
    return False


def then(act):
    """A client that stays, while something happens at the first look at it."""
    done = []

    def is_gone():
        if not done:
            done.append(act())
        return False

    return is_gone


def test_the_transcript_comes_once_the_job_is_completed(services, worker, submit):
    job_id = submit()

    job, transcript = await_transcript(
        services, job_id, tenant=TENANT, is_gone=then(lambda: run_job(worker))
    )

    assert (job.status, transcript.text) == ("completed", "Hello there.")


def test_a_job_that_failed_is_told_with_its_own_code(services, worker, model, submit):
    def fail(_should_stop):
        raise AudioUnreadable("noise")

    model.act = fail
    job_id = submit()
    run_job(worker)

    with pytest.raises(JobFailed) as failed:
        await_transcript(services, job_id, tenant=TENANT, is_gone=here)

    assert failed.value.code == "audio_unreadable"
    assert failed.value.details["job_id"] == str(job_id)


def test_a_job_that_somebody_cancels_has_no_transcript(services, submit):
    job_id = submit()

    with pytest.raises(JobCancelled) as cancelled:
        await_transcript(
            services, job_id, tenant=TENANT, is_gone=then(lambda: cancel_job(services, job_id))
        )

    assert cancelled.value.details["job_id"] == str(job_id)


def test_a_job_of_another_tenant_does_not_exist(services, worker, submit):
    job_id = submit()
    run_job(worker)

    with pytest.raises(JobNotFound):
        await_transcript(services, job_id, tenant="other", is_gone=here)


@pytest.mark.parametrize(("keep", "status"), [(False, "cancelled"), (True, "pending")])
def test_a_client_that_leaves_takes_its_job_with_it_unless_it_is_kept(
    services, submit, keep, status
):
    job_id = submit()

    with pytest.raises(ClientGone):
        await_transcript(services, job_id, tenant=TENANT, is_gone=lambda: True, keep_if_gone=keep)

    assert get_job(services, job_id).status == status


def test_a_job_that_takes_too_long_goes_on_and_is_named(services, submit):
    job_id = submit()

    with pytest.raises(JobTimedOut) as late:
        await_transcript(services, job_id, tenant=TENANT, is_gone=here, timeout_s=0)

    assert late.value.details["job_id"] == str(job_id)
    assert get_job(services, job_id).status == "pending"


def test_a_short_outage_is_waited_out(services, worker, submit, outage):
    job_id = submit()
    run_job(worker)
    outage.away = [True, True, False, True]  # the last one between the look and the transcript

    _, transcript = await_transcript(outage.services, job_id, tenant=TENANT, is_gone=here)

    assert transcript.text == "Hello there."
    assert outage.away == []


def test_a_client_can_leave_during_an_outage(services, submit, outage):
    job_id = submit()
    outage.away = [True, True, True]

    with pytest.raises(ClientGone):
        await_transcript(outage.services, job_id, tenant=TENANT, is_gone=lambda: True)

    assert get_job(services, job_id).status == "cancelled"


def test_a_long_outage_is_told_with_the_id_of_the_job_which_goes_on(services, submit, outage):
    job_id = submit()
    outage.away = [True] * 5

    with pytest.raises(DatabaseUnavailable) as away:
        await_transcript(outage.services, job_id, tenant=TENANT, is_gone=here, patience_s=0)

    assert away.value.details["job_id"] == str(job_id)
    assert outage.asked == 1
    assert get_job(services, job_id).status == "pending"


def test_a_job_that_has_ended_is_read_through_an_outage(services, worker, submit, outage):
    job_id = submit()
    run_job(worker)
    outage.away = [True]

    _, transcript = finished_transcript(outage.services, job_id, tenant=TENANT)

    assert transcript.text == "Hello there."


def test_leaving_a_finished_job_changes_nothing(services, worker, submit):
    job_id = submit()
    run_job(worker)

    leave_job(services, job_id, tenant=TENANT, keep=False)

    assert get_job(services, job_id).status == "completed"


def test_leaving_a_job_that_was_removed_is_no_error(services, submit):
    job_id = submit()
    cancel_job(services, job_id)
    purge_job(services, job_id)

    leave_job(services, job_id, tenant=TENANT, keep=False)

    with pytest.raises(JobNotFound):
        get_job(services, job_id)


def test_leaving_without_a_database_is_no_error_and_the_job_goes_on(services, submit, outage):
    job_id = submit()
    outage.away = [True] * 5

    leave_job(outage.services, job_id, tenant=TENANT, keep=False, patience_s=0)

    assert get_job(services, job_id).status == "pending"
