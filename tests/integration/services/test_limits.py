"""What a tenant may submit, by what it has waiting and what it handed in today."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import func, insert, text, update

from audio.probe import AudioProbe
from domain.errors import DatabaseUnavailable, QuotaExceeded, TenantNotFound, TooManyJobs
from domain.lifecycle import JobStatus, Rank
from domain.limits import TenantLimits
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import Tenant, TranscriptionJob, UsageEntry
from services.jobs import cancel_job, submit_job
from services.limits import require_room
from services.running_limits import claim_within_limits
from services.tenant_limits import (
    KNOWN,
    KnownLimits,
    change_overrides,
    default_limits,
    get_overrides,
    replace_overrides,
)
from services.transcription import run_job
from tests.integration.services.conftest import files_in
from tests.integration.services.watching import await_that

Job = TranscriptionJob
ACME = Submission(tenant="acme")


@pytest.fixture(autouse=True)
def acme(services):
    """A tenant; nothing is remembered of those of other tests."""
    with services.open_session() as session:
        session.execute(insert(Tenant).values(name="acme"))
    KNOWN.forget()
    yield
    KNOWN.forget()


@pytest.fixture
def limit(services):
    return lambda **overrides: change_overrides(services, "acme", overrides)


@pytest.fixture
def send(services):
    def send(content=b"recording", *, of=ACME, audio_s=1.0):
        stored = services.storage.put(BytesIO(content), max_bytes=1_000_000)
        probed = AudioProbe(audio_s, "wav", "pcm_s16le", 16_000, 1)
        by = replace(services, probe=lambda path: probed)
        return submit_job(by, stored, TranscriptionOptions("base"), of)

    return send


def test_a_submission_beyond_the_waiting_jobs_is_refused_and_leaves_no_file(services, send, limit):
    limit(waiting_jobs=2)
    send(), send()

    with pytest.raises(TooManyJobs) as raised:
        send()

    assert raised.value.details["maximum"] == 2
    assert raised.value.details["retry_after_s"] > 0
    assert len(files_in(services.storage.root)) == 2
    send(of=Submission())  # another tenant has its own


def test_a_place_is_free_when_a_job_no_longer_waits(services, send, limit):
    limit(waiting_jobs=1)
    cancel_job(services, send())

    send()

    with pytest.raises(TooManyJobs):
        require_room(services, "acme")


def test_come_again_when_the_job_that_runs_is_expected_to_end(services, send, limit):
    limit(waiting_jobs=1)
    running = send()
    with services.open_session() as session:
        session.execute(
            update(Job)
            .where(Job.id == running)
            .values(
                status=JobStatus.PROCESSING,
                time_left_s=33.3,
                lease_expires_at=func.now() + timedelta(seconds=60),
            )
        )
    send()

    with pytest.raises(TooManyJobs) as raised:
        send()

    assert raised.value.details["retry_after_s"] == 34


def test_the_bytes_of_a_day_are_limited(send, limit):
    limit(bytes_per_day=20)
    send(b"x" * 12)

    with pytest.raises(QuotaExceeded) as raised:
        send(b"x" * 9)

    send(b"x" * 8)
    assert raised.value.details["limit"] == "bytes_per_day"
    assert 0 < raised.value.details["retry_after_s"] <= 86_400


def test_the_hours_of_a_day_are_limited(send, limit):
    limit(audio_hours_per_day=1.5)
    send(audio_s=3600.0)

    with pytest.raises(QuotaExceeded) as raised:
        send(audio_s=1801.0)

    send(audio_s=1800.0)
    assert raised.value.details["limit"] == "audio_hours_per_day"


def test_a_quota_that_is_used_up_refuses_before_anything_is_known_of_the_recording(
    services, send, limit
):
    limit(bytes_per_day=12)
    require_room(services, "acme")
    send(b"x" * 12)

    with pytest.raises(QuotaExceeded):
        require_room(services, "acme")


def test_yesterday_does_not_count(services, send, limit):
    limit(bytes_per_day=12)
    send(b"x" * 12)
    with services.open_session() as session:
        session.execute(update(UsageEntry).values(at=func.now() - timedelta(days=1)))

    send(b"x" * 12)


def test_a_cancelled_job_was_submitted_all_the_same(services, send, limit):
    limit(bytes_per_day=12)
    cancel_job(services, send(b"x" * 12))

    with pytest.raises(QuotaExceeded):
        send(b"x" * 12)


def test_jobs_beyond_the_running_ones_wait_for_the_end_of_one(services, send, limit, worker):
    limit(running_jobs=1)
    first, second = send(), send()
    claim = claim_within_limits(services, Rank.RETRY, "host:1/2")

    passed_over = claim_within_limits(services, Rank.RETRY, "host:1/3")
    cancel_job(services, first)
    with services.open_session() as session:
        session.execute(
            update(Job).where(Job.id == first).values(status="cancelled", completed_at=func.now())
        )
    then = run_job(worker)

    assert (claim.job_id, passed_over, then) == (first, None, second)


def test_other_tenants_go_before_one_that_is_full(services, send, limit):
    limit(running_jobs=1)
    send(), send()
    others = send(of=Submission())
    claim_within_limits(services, Rank.RETRY, "host:1/2")

    claim = claim_within_limits(services, Rank.RETRY, "host:1/3")

    assert claim.job_id == others


def test_the_settings_limit_running_jobs_of_whoever_has_no_limit_of_his_own(services, send, limit):
    strict = replace(
        services, settings=services.settings.model_copy(update={"limit_running_jobs": 1})
    )
    limit(running_jobs=0)
    acme = {send(), send()}
    first, _waits = send(of=Submission()), send(of=Submission())

    claims = [claim_within_limits(strict, Rank.RETRY, f"host:1/{n}") for n in range(4)]

    assert {claim.job_id for claim in claims if claim} == {*acme, first}


def test_limits_are_changed_one_by_one_or_all_together(services):
    replace_overrides(services, "acme", {"waiting_jobs": 5, "running_jobs": 2})
    change_overrides(services, "acme", {"waiting_jobs": None, "bytes_per_day": 7})
    changed = get_overrides(services, "acme")
    replace_overrides(services, "acme", {"requests_per_minute": 9})

    assert changed == {"running_jobs": 2, "bytes_per_day": 7}
    assert get_overrides(services, "acme") == {"requests_per_minute": 9}
    assert KNOWN.of(services, "acme").requests_per_minute == 9


WAITS_FOR_A_LOCK = text(
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = current_database() AND query LIKE '%tenants%'"
)


@pytest.mark.parametrize("name", ["acme", "default"])
def test_two_who_change_different_limits_at_once_both_get_their_way(services, name):
    def is_waiting():
        with services.open_statement() as watcher:
            return watcher.execute(WAITS_FOR_A_LOCK).one_or_none() is not None

    with ThreadPoolExecutor(1) as pool:
        with services.open_session() as session:
            first = update(Tenant).where(Tenant.name == name)
            session.execute(first.values(limits={"waiting_jobs": 5}))
            second = pool.submit(change_overrides, services, name, {"running_jobs": 2})
            await_that(is_waiting, patience_s=2.5)  # the lock is waited for no longer than 3 s
        changed = second.result()

    assert changed == get_overrides(services, name) == {"waiting_jobs": 5, "running_jobs": 2}


def test_the_default_tenant_may_have_limits_too(services):
    replace_overrides(services, "default", {"waiting_jobs": 5})
    change_overrides(services, "default", {"running_jobs": 2})

    assert get_overrides(services, "default") == {"waiting_jobs": 5, "running_jobs": 2}


@pytest.mark.parametrize("name", ["nobody", "\0", "a'; --"])
def test_a_tenant_that_is_not_there_has_no_limits(services, name):
    for act in (get_overrides, lambda *of: replace_overrides(*of, {"waiting_jobs": 1})):
        with pytest.raises(TenantNotFound):
            act(services, name)


def test_another_process_hears_of_a_change_after_some_seconds(services, limit):
    now = [0.0]
    other = KnownLimits(lambda: now[0])
    before = other.of(services, "acme").waiting_jobs
    limit(waiting_jobs=5)

    at_once = other.of(services, "acme").waiting_jobs
    now[0] += 5.0

    assert (before, at_once, other.of(services, "acme").waiting_jobs) == (0, 0, 5)


def test_what_was_known_holds_while_the_database_is_away(services, limit):
    now = [0.0]
    known = KnownLimits(lambda: now[0])
    limit(waiting_jobs=5)
    known.of(services, "acme")
    now[0] += 60.0

    @contextmanager
    def away():
        raise DatabaseUnavailable("the database does not answer")
        yield

    cut_off = replace(services, open_statement=away, open_session=away)

    assert known.of(cut_off, "acme").waiting_jobs == 5
    assert known.of(cut_off, "never seen") == default_limits(services.settings)
    assert default_limits(services.settings) == TenantLimits()
