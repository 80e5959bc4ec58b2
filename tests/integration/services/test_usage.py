"""Every job counts once when it is submitted and once when it is completed."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update

from domain.errors import OptionInvalid
from models import Tenant, TranscriptionJob, UsageEntry
from services import lifecycle
from services.jobs import cancel_job, purge_job
from services.transcription import run_job
from services.usage import UsageDay, read_usage


@pytest.fixture
def entries(services):
    def entries():
        with services.open_session() as session:
            return session.scalars(select(UsageEntry).order_by(UsageEntry.id)).all()

    return entries


@pytest.fixture
def used(services):
    """An entry of a moment."""

    def used(at, *, tenant="default", kind="submitted", **amounts):
        with services.open_session() as session:
            session.execute(
                insert(UsageEntry).values(
                    tenant=tenant,
                    job_id="00000000-0000-0000-0000-000000000001",
                    kind=kind,
                    at=datetime.fromisoformat(at),
                    **amounts,
                )
            )

    return used


def test_a_job_adds_its_bytes_and_audio_and_then_the_compute(submit, worker, entries):
    job_id = submit(content=b"recording", placed={"tenant": "acme"})
    run_job(worker)

    submitted, completed = entries()
    assert {submitted.job_id, completed.job_id} == {job_id}
    assert {submitted.tenant, completed.tenant} == {"acme"}
    assert (submitted.kind, submitted.size_bytes, submitted.audio_s) == ("submitted", 9, 1.0)
    assert (completed.kind, completed.size_bytes, completed.audio_s) == ("completed", 0, 1.0)
    assert submitted.compute_s == 0
    assert completed.compute_s > 0


def test_a_job_of_unknown_length_counts_none_until_it_is_decoded(services, submit, entries):
    submit()
    with services.open_session() as session:
        # As the statement that creates a job does, whose probe found no length.
        values = {**vars(session.scalars(select(TranscriptionJob)).one())}
        values.pop("_sa_instance_state")
        values |= {"id": "00000000-0000-0000-0000-000000000002", "duration_s": None}
        lifecycle.create(session, values, detail={})

    assert entries()[-1].audio_s == 0


def test_a_cancelled_job_was_submitted_and_not_completed(services, submit, entries):
    cancel_job(services, submit())

    assert [entry.kind for entry in entries()] == ["submitted"]


def test_a_late_twin_counts_nothing(services, submit, worker, model, entries):
    job_id = submit()

    def lose_the_lease(should_stop):
        with services.open_session() as session:
            session.execute(
                update(TranscriptionJob)
                .where(TranscriptionJob.id == job_id)
                .values(lease_token=TranscriptionJob.lease_token + 1)
            )

    model.act = lose_the_lease
    run_job(worker)

    assert [entry.kind for entry in entries()] == ["submitted"]


def test_usage_outlives_the_job(services, submit, worker, entries):
    job_id = submit()
    run_job(worker)
    purge_job(services, job_id)

    assert len(entries()) == 2
    assert read_usage(services, "default").days[0].jobs_completed == 1


def test_days_are_those_of_utc_and_add_up(services, used):
    used("2026-03-01T23:59:59+00:00", size_bytes=5, audio_s=10.0)
    used("2026-03-02T00:00:00+00:00", size_bytes=7, audio_s=20.0)
    used("2026-03-02T12:00:00+00:00", kind="completed", audio_s=19.5, compute_s=2.5)
    used("2026-03-03T01:00:00+02:00", kind="completed", audio_s=1.0, compute_s=0.5)
    used("2026-03-02T12:00:00+00:00", tenant="acme", size_bytes=1)

    usage = read_usage(services, "default", date(2026, 3, 1), date(2026, 3, 2))

    assert usage.days == [
        UsageDay("default", date(2026, 3, 1), 1, 0, 10.0, 0.0, 0.0, 5),
        UsageDay("default", date(2026, 3, 2), 1, 2, 20.0, 20.5, 3.0, 7),
    ]


def test_the_operator_sees_every_tenant(services, used):
    with services.open_session() as session:
        session.execute(insert(Tenant).values(name="acme"))
    used("2026-03-01T12:00:00+00:00", tenant="acme", size_bytes=1)
    used("2026-03-01T12:00:00+00:00", size_bytes=2)
    days = date(2026, 3, 1), date(2026, 3, 1)

    everybody, one = (read_usage(services, tenant, *days) for tenant in (None, "acme"))

    assert [(day.tenant, day.bytes) for day in everybody.days] == [("acme", 1), ("default", 2)]
    assert [(day.tenant, day.bytes) for day in one.days] == [("acme", 1)]


def test_the_last_thirty_days_are_shown_unless_said_otherwise(services):
    today = datetime.now(UTC).date()

    usage = read_usage(services, "default")

    assert usage.last - usage.first == timedelta(days=29)
    assert abs(usage.last - today) <= timedelta(days=1)  # midnight may have passed meanwhile


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 3, 2), date(2026, 3, 1)),
        (date(2025, 1, 1), date(2026, 3, 1)),
    ],
)
def test_days_in_the_wrong_order_or_too_many_are_refused(services, first, last):
    with pytest.raises(OptionInvalid):
        read_usage(services, "default", first, last)


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_the_calendar_are_days_like_others(services, day):
    assert read_usage(services, "default", None, day).days == []


def test_a_tenants_usage_is_read_by_the_index(services, used):
    used("2026-03-01T12:00:00+00:00")
    with services.open_statement() as session:
        plan = session.scalars(
            text(
                "EXPLAIN SELECT sum(size_bytes) FROM usage_entries"
                " WHERE tenant = 'default' AND at >= now() - interval '1 day'"
            )
        ).all()

    assert any("ix_usage_tenant" in line for line in plan)
