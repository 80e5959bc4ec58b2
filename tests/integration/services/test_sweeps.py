from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, update

from config import CONSUMED_QUEUES
from domain.errors import BrokerUnavailable
from domain.lifecycle import Rank
from models import TranscriptionJob
from services import lifecycle, sweeps
from services.dead_letter_views import list_errors
from services.jobs import cancel_job, get_job

Job = TranscriptionJob


def set_all(services, **values):
    with services.open_session() as session:
        session.execute(update(Job).values(**values))


def claim(services):
    with services.open_statement() as session:
        return lifecycle.claim_next(
            session, Rank.RETRY, worker="host:1/2", lease=timedelta(seconds=60)
        )


def expire_leases(services):
    set_all(services, lease_expires_at=func.now() - timedelta(seconds=1))


def test_a_job_that_was_rung_for_is_left_alone(services, submit, published):
    submit()
    published.clear()

    assert sweeps.dispatch_pending(services) == 0
    assert published == []


def test_a_ring_that_was_lost_is_repeated(services, submit, published):
    job_id = submit()
    published.clear()
    set_all(services, published_at=func.now() - timedelta(hours=1))

    sweeps.dispatch_pending(services)

    assert published == [(job_id, "transcription.normal")]


def test_a_queue_that_still_holds_messages_is_not_made_longer(services, submit, published):
    job_id = submit()
    published.clear()
    busy = replace(services, queue_depths=lambda: dict.fromkeys(CONSUMED_QUEUES, 7))
    after_s = services.settings.redispatch_after_s
    set_all(services, published_at=func.now() - timedelta(seconds=2 * after_s))

    assert sweeps.dispatch_pending(busy) == 0
    set_all(services, published_at=func.now() - timedelta(seconds=11 * after_s))
    assert sweeps.dispatch_pending(busy) == 1
    assert published == [(job_id, "transcription.normal")]


def test_a_broker_that_is_away_loses_no_ring(services, submit, published):
    job_id = submit()
    set_all(services, published_at=None)
    published.clear()

    def away(job_id, queue):
        raise BrokerUnavailable("away")

    assert sweeps.dispatch_pending(replace(services, publish=away)) == 0
    assert sweeps.dispatch_pending(services) == 1
    assert published == [(job_id, "transcription.normal")]


def test_an_abandoned_job_comes_back_on_the_retry_queue(services, submit, published):
    job_id = submit()
    claim(services)
    expire_leases(services)
    published.clear()

    reaped = sweeps.reap_expired(services)
    set_all(services, next_attempt_at=func.now())
    sweeps.dispatch_pending(services)

    assert reaped == 1
    assert get_job(services, job_id).error_type == "worker_lost"
    assert published == [(job_id, "transcription.retry")]


def test_a_held_lease_is_left_alone(services, submit):
    job_id = submit()
    claim(services)

    assert sweeps.reap_expired(services) == 0
    assert get_job(services, job_id).status == "processing"


def test_a_job_that_kills_every_worker_ends_in_the_dead_letters(services, submit):
    job_id = submit()
    for _ in range(services.settings.max_attempts):
        set_all(services, next_attempt_at=None)
        assert claim(services)
        expire_leases(services)
        sweeps.reap_expired(services)

    job = get_job(services, job_id)
    [letter] = list_errors(services).errors
    assert (job.status, job.attempt) == ("failed", services.settings.max_attempts)
    assert (letter.type, letter.worker_id) == ("worker_lost", "host:1/2")


def test_a_cancel_is_forced_when_the_worker_died(services, submit):
    job_id = submit()
    mine = claim(services)
    cancel_job(services, job_id)
    expire_leases(services)

    assert (sweeps.reap_expired(services), sweeps.force_cancels(services)) == (0, 1)
    assert get_job(services, job_id).status == "cancelled"
    with services.open_session() as session:
        assert lifecycle.confirm_cancel(session, mine) is False
