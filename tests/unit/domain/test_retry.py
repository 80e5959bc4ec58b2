from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import (
    AudioUnreadable,
    DatabaseUnavailable,
    DecodeStalled,
    ModelUnavailable,
    OutOfMemory,
    StorageFull,
    TimeLimitExceeded,
    WorkerLost,
)
from domain.retry import JITTER, GiveUp, Retry, RetryPolicy, backoff, decide

JOB = UUID("00000000-0000-4000-8000-000000000001")
POLICY = RetryPolicy(max_attempts=5, base=timedelta(seconds=15), cap=timedelta(hours=1))


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 15), (2, 30), (3, 60), (4, 120), (8, 1920), (9, 3600), (500, 3600)]
)
def test_the_delay_doubles_up_to_the_cap(attempt, seconds):
    delay = backoff(attempt, JOB, POLICY).total_seconds()

    assert seconds <= delay <= seconds * (1 + JITTER)


def test_the_same_failure_always_waits_exactly_as_long():
    assert backoff(3, JOB, POLICY) == backoff(3, JOB, POLICY)


@pytest.mark.parametrize(
    ("attempt", "milliseconds"),
    [(1, 15_965), (2, 30_588), (3, 63_257), (4, 131_877), (5, 245_369)],
)
def test_the_waits_of_one_job_are_these(attempt, milliseconds):
    """Whoever changes them changes when jobs come back: on purpose, then."""
    delay = backoff(attempt, JOB, POLICY)

    assert round(delay.total_seconds() * 1000) == milliseconds


def test_the_jitter_reaches_from_nothing_to_its_share_of_the_wait():
    waits = [backoff(1, UUID(int=n), POLICY).total_seconds() for n in range(2_000)]
    shares = [wait / 15 - 1 for wait in waits]

    assert 0 <= min(shares) < 0.1 * JITTER
    assert 0.9 * JITTER < max(shares) <= JITTER


def test_jobs_of_one_outage_that_fail_together_twice_part_again():
    first, second = UUID(int=1), UUID(int=2)

    apart = {
        backoff(attempt, second, POLICY) - backoff(attempt, first, POLICY) for attempt in (1, 2, 3)
    }

    assert len(apart) == 3


def test_jobs_felled_together_do_not_come_back_together():
    delays = {backoff(1, uuid4(), POLICY) for _ in range(50)}

    assert len(delays) > 40


@pytest.mark.parametrize("error", [DatabaseUnavailable("x"), OutOfMemory("x"), RuntimeError("x")])
def test_a_passing_fault_is_tried_again(error):
    decision = decide(error, 1, JOB, POLICY)

    assert decision == Retry(backoff(1, JOB, POLICY))


@pytest.mark.parametrize("error", [AudioUnreadable("x"), ModelUnavailable("x")])
def test_a_fault_of_the_recording_or_the_request_is_given_up_at_once(error):
    assert decide(error, 1, JOB, POLICY) == GiveUp("permanent error")


@pytest.mark.parametrize(
    "error", [WorkerLost("x"), DecodeStalled("x"), TimeLimitExceeded("x"), StorageFull("x")]
)
@pytest.mark.parametrize("attempt", [1, 2, 3, 4])
def test_what_the_watchdog_and_the_reaper_find_is_tried_again(error, attempt):
    assert decide(error, attempt, JOB, POLICY) == Retry(backoff(attempt, JOB, POLICY))


def test_a_policy_of_one_attempt_tries_nothing_again():
    once = RetryPolicy(max_attempts=1)

    assert isinstance(decide(OutOfMemory("x"), 1, JOB, once), GiveUp)


def test_an_attempt_beyond_the_last_is_given_up_too():
    assert isinstance(decide(OutOfMemory("x"), 6, JOB, POLICY), GiveUp)


def test_attempts_are_bounded():
    assert isinstance(decide(DatabaseUnavailable("x"), 4, JOB, POLICY), Retry)
    assert decide(DatabaseUnavailable("x"), 5, JOB, POLICY) == GiveUp(
        "still failing after 5 attempts"
    )
