from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import AudioUnreadable, DatabaseUnavailable, ModelUnavailable, OutOfMemory
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


def test_attempts_are_bounded():
    assert isinstance(decide(DatabaseUnavailable("x"), 4, JOB, POLICY), Retry)
    assert decide(DatabaseUnavailable("x"), 5, JOB, POLICY) == GiveUp(
        "still failing after 5 attempts"
    )
