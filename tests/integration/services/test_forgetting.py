"""What would grow for ever is forgotten: usage, tokens, batches without jobs."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, literal_column, select, update

from domain.access import OPERATOR
from models import Batch, SingleUseToken, Tenant, TranscriptionJob, UsageEntry
from services import retention
from services.retention import forget_tokens, forget_usage, remove_empty_batches
from services.single_use_tokens import issue_token, redeem_token

NO_JOB = UUID(int=0)


@pytest.fixture
def use(services):
    """Usage of a tenant, so long ago as a piece of SQL says."""

    def use(at, *, tenant="default", count=1):
        with services.open_session() as session:
            for _ in range(count):
                session.execute(
                    insert(UsageEntry).values(
                        tenant=tenant, job_id=NO_JOB, kind="submitted", at=literal_column(at)
                    )
                )

    return use


@pytest.fixture
def usage(services):
    def usage():
        with services.open_session() as session:
            return session.execute(select(UsageEntry.tenant, UsageEntry.at)).all()

    return usage


def keeping(services, days):
    return replace(
        services, settings=services.settings.model_copy(update={"keep_usage_days": days})
    )


LAST_MIDNIGHT = "date_trunc('day', now(), 'UTC')"


def test_usage_is_forgotten_by_whole_days(services, use, usage):
    first_kept = f"{LAST_MIDNIGHT} - interval '240 hours'"
    use(first_kept)
    use(f"{first_kept} - interval '1 microsecond'")

    forgotten = forget_usage(keeping(services, 10))

    assert forgotten == 1
    [(_, at)] = usage()
    with services.open_session() as session:
        assert at == session.scalar(select(literal_column(first_kept)))


def test_usage_of_every_tenant_is_forgotten_and_zero_keeps_it(services, use, usage):
    with services.open_session() as session:
        session.execute(insert(Tenant).values(name="acme"))
    use("now() - interval '90 years'")
    use("now() - interval '90 years'", tenant="acme")

    while_kept = forget_usage(keeping(services, 0))
    forgotten = forget_usage(keeping(services, 400))

    assert (while_kept, forgotten) == (0, 2)
    assert usage() == []


def test_what_counts_for_the_quota_of_today_is_never_forgotten(services, use, usage):
    use(LAST_MIDNIGHT)

    assert forget_usage(keeping(services, 1)) == 0
    assert len(usage()) == 1


def end_tokens(services):
    with services.open_session() as session:
        session.execute(update(SingleUseToken).values(expires_at=func.now()))


def test_tokens_that_have_ended_are_forgotten_used_or_not(services):
    issue_token(services, OPERATOR, ["read"], ttl_s=60)
    redeem_token(services, issue_token(services, OPERATOR, ["read"], ttl_s=60).token)

    before = forget_tokens(services)
    end_tokens(services)
    after = forget_tokens(services)

    assert (before, after) == (0, 2)


def test_a_token_that_is_good_is_not_forgotten(services):
    good = issue_token(services, OPERATOR, ["read"], ttl_s=60).token

    forgotten = forget_tokens(services)

    assert forgotten == 0
    assert redeem_token(services, good).tenant == "default"


@pytest.mark.parametrize("sweep", [forget_usage, forget_tokens, remove_empty_batches])
def test_no_sweep_takes_more_than_a_batch_at_once(services, use, monkeypatch, sweep):
    monkeypatch.setattr(retention, "BATCH", 2)
    use("now() - interval '90 years'", count=3)
    long_ago = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    for _ in range(3):
        issue_token(services, OPERATOR, ["read"], ttl_s=60)
        with services.open_session() as session:
            session.execute(insert(Batch).values(tenant="default", created_at=long_ago))

    end_tokens(services)

    counts = [sweep(services) for _ in range(3)]

    assert counts == [2, 1, 0]


def test_a_batch_that_has_a_job_stays(services, submit):
    job_id = submit()
    with services.open_session() as session:
        made = session.scalars(
            insert(Batch)
            .values(tenant="default", created_at=func.now() - timedelta(days=400))
            .returning(Batch.id)
        ).one()
        session.execute(
            update(TranscriptionJob).where(TranscriptionJob.id == job_id).values(batch_id=made)
        )

    assert remove_empty_batches(services) == 0
