"""A job may be tried as often as the setting said when it was submitted, whatever it says now."""

from dataclasses import replace

import pytest
from sqlalchemy import func, update

from domain.errors import EngineError
from domain.lifecycle import Rank
from models import TranscriptionJob
from services import lifecycle, sweeps
from services.jobs import get_job
from services.transcription import run_job
from tests.integration.services.conftest import with_worker


@pytest.fixture
def by_setting(services):
    """The services of a process that was started with this MAX_ATTEMPTS."""

    def by_setting(attempts):
        settings = services.settings.model_copy(update={"max_attempts": attempts})
        return replace(services, settings=settings)

    return by_setting


def fail_always(should_stop):
    raise EngineError("a fault")


def retry_now(services):
    with services.open_session() as session:
        session.execute(update(TranscriptionJob).values(next_attempt_at=None))


@pytest.mark.parametrize("later", [1, 2, 9])
def test_a_worker_gives_a_job_up_after_the_attempts_that_it_was_submitted_with(
    services, worker, model, submit, by_setting, later
):
    job_id = submit()
    with services.open_session() as session:
        session.execute(update(TranscriptionJob).values(max_attempts=2))
    model.act = fail_always

    for _ in range(3):
        run_job(with_worker(worker, base=by_setting(later)))
        retry_now(services)

    job = get_job(services, job_id)
    assert (job.status, job.attempt, model.calls) == ("failed", 2, 2)


@pytest.mark.parametrize("later", [1, 2, 9])
def test_the_reaper_gives_a_job_up_after_the_attempts_that_it_was_submitted_with(
    services, submit, by_setting, later
):
    job_id = submit()
    with services.open_session() as session:
        session.execute(update(TranscriptionJob).values(max_attempts=2))

    for _ in range(3):
        with services.open_session() as session:
            lifecycle.claim_next(session, Rank.RETRY, worker="host:1/2", lease=services.lease)
        with services.open_session() as session:
            session.execute(update(TranscriptionJob).values(lease_expires_at=func.now()))
        sweeps.reap_expired(by_setting(later))
        retry_now(services)

    job = get_job(services, job_id)
    assert (job.status, job.attempt) == ("failed", 2)
