"""A submission that is sent again finds the job that it made."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import func, select, update

from domain.errors import IdempotencyConflict, QuotaExceeded
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import IdempotencyKey, TranscriptionJob, UsageEntry
from services import retention
from services.jobs import cancel_job, get_job, purge_job, submit_once
from services.tenant_limits import KNOWN
from tests.integration.services.conftest import files_in

KEYED = Submission(idempotency_key="order-17", filename="talk.wav")


@pytest.fixture
def send(services):
    """Submit a recording with a key; as a client does that never got its answer."""

    def send(content=b"recording", *, of=KEYED, by=services, **options):
        stored = services.storage.put(BytesIO(content), max_bytes=1_000_000)
        asked = TranscriptionOptions(**{"model_size": "base", **options})
        return submit_once(by, stored, asked, of)

    return send


def count(services, table=TranscriptionJob):
    with services.open_session() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_the_same_again_is_the_first_job_and_the_second_upload_is_gone(services, send, published):
    first, second = send(), send()

    assert (first.is_replayed, second.is_replayed) == (False, True)
    assert second.job_id == first.job_id
    assert (count(services), count(services, UsageEntry), len(published)) == (1, 1, 1)
    assert len(files_in(services.storage.root)) == 1


@pytest.mark.parametrize(
    "changed", [{"content": b"another"}, {"language": "de"}, {"of": replace(KEYED, name="Board")}]
)
def test_something_else_under_the_same_key_is_a_conflict(services, send, changed):
    send()

    with pytest.raises(IdempotencyConflict):
        send(**changed)

    assert count(services) == 1
    assert len(files_in(services.storage.root)) == 1


def test_a_key_belongs_to_its_tenant(services, send):
    first, second = send(), send(of=replace(KEYED, tenant="acme"))

    assert not second.is_replayed
    assert first.job_id != second.job_id


def test_without_a_key_every_upload_is_a_job(services, send):
    send(of=Submission())
    send(of=Submission())

    assert count(services) == 2


def test_of_many_at_once_one_makes_the_job(services, send):
    together = threading.Barrier(8)

    def send_with_others(_):
        together.wait()
        return send()

    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(send_with_others, range(8))]

    assert len({one.job_id for one in made}) == 1
    assert sorted(one.is_replayed for one in made) == [False] + 7 * [True]
    assert (count(services), count(services, UsageEntry)) == (1, 1)
    assert len(files_in(services.storage.root)) == 1


def test_of_two_different_ones_at_once_one_meets_a_conflict(services, send):
    together = threading.Barrier(2)

    def send_with_other(content):
        together.wait()
        try:
            return send(content).job_id
        except IdempotencyConflict:
            return None

    with ThreadPoolExecutor(2) as pool:
        made = [*pool.map(send_with_other, [b"one", b"another"])]

    assert made.count(None) == 1
    assert count(services) == 1


def test_a_repetition_needs_no_room(services, send):
    first = send()
    settings = services.settings.model_copy(update={"limit_bytes_per_day": 1})
    full = replace(services, settings=settings)
    KNOWN.forget()

    again = send(by=full)

    assert again.job_id == first.job_id
    with pytest.raises(QuotaExceeded):
        send(by=full, of=Submission())


def test_the_key_goes_with_its_job(services, send):
    first = send()
    cancel_job(services, first.job_id)
    purge_job(services, first.job_id)

    again = send()

    assert not again.is_replayed
    assert get_job(services, again.job_id).status == "pending"


def test_keys_are_forgotten_after_a_day_and_jobs_are_not(services, send):
    first = send()
    send(of=replace(KEYED, idempotency_key="of an hour ago"))
    with services.open_session() as session:
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.job_id == first.job_id)
            .values(created_at=func.now() - timedelta(hours=24, minutes=1))
        )

    forgotten = retention.forget_idempotency_keys(services)

    assert (forgotten, count(services, IdempotencyKey), count(services)) == (1, 1, 2)
    assert not send().is_replayed
