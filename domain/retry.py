"""What to do after a failed attempt: a pure decision."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a job is tried again."""

    max_attempts: int = 5
    base: timedelta = timedelta(seconds=15)
    cap: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Retry:
    """Run the job again after this long."""

    after: timedelta


@dataclass(frozen=True)
class GiveUp:
    """Send the job to the dead letters, for this reason."""

    reason: str


JITTER = 0.1  # of the delay: enough that jobs felled by one outage do not come back as one


def backoff(attempt: int, job_id: UUID, policy: RetryPolicy) -> timedelta:
    """Delay before the attempt that follows `attempt` (counted from 1).

    Doubles from `policy.base` up to `policy.cap`, then up to 10% is added that depends on
    the job and the attempt alone, so the same failure always waits exactly as long.
    """
    # The exponent is bounded because 2**attempt overflows timedelta long before it matters.
    delay: timedelta = min(policy.cap, policy.base * 2 ** min(attempt - 1, 30))
    digest = hashlib.sha256(f"{job_id}:{attempt}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 0xFFFF_FFFF
    return delay * (1 + JITTER * share)


def decide(error: BaseException, attempt: int, job_id: UUID, policy: RetryPolicy) -> Retry | GiveUp:
    """Say what to do after attempt number `attempt` (from 1) ended with `error`.

    An error of an unknown kind is tried again: it is more often a passing fault than a
    property of the recording, and `max_attempts` bounds it.
    """
    if not getattr(error, "is_transient", True):
        return GiveUp("permanent error")
    if attempt >= policy.max_attempts:
        return GiveUp(f"still failing after {attempt} attempts")
    return Retry(backoff(attempt, job_id, policy))
