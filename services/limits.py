"""Whether a tenant may submit now: how many of its jobs wait, and what it handed in today.

Submissions that come at the same time may each find the last place: a limit is overrun by as
many as arrive within one look, never by more. The days are those of UTC.
"""

from dataclasses import dataclass

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from domain.errors import QuotaExceeded, TooManyJobs
from domain.lifecycle import JobStatus
from domain.limits import TenantLimits, seconds_to_midnight
from models import TranscriptionJob, UsageEntry
from services.backlog import bounded_retry_s
from services.context import Services
from services.tenant_limits import KNOWN
from services.usage import SUBMITTED, start_of_today

Job = TranscriptionJob

UNKNOWN_END_S = 10.0  # where nothing that runs says when it ends
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class _Today:
    """What a tenant submitted since midnight."""

    size_bytes: int
    audio_s: float
    seconds_of_day: float


def require_room(
    services: Services, tenant: str, *, size_bytes: int = 0, audio_s: float | None = None
) -> None:
    """Raise unless the tenant may submit a recording, of this size and length if they are known.

    Raises TooManyJobs, QuotaExceeded; DatabaseUnavailable only where there is a limit.
    """
    limits = KNOWN.of(services, tenant)
    if not (limits.waiting_jobs or limits.bytes_per_day or limits.audio_hours_per_day):
        return
    with services.open_statement() as session:
        if limits.waiting_jobs:
            _require_place(session, tenant, limits.waiting_jobs)
        if limits.bytes_per_day or limits.audio_hours_per_day:
            today = _today(session, tenant)
            _require_quota(limits, today, size_bytes, audio_s or 0.0)


def _require_place(session: Session, tenant: str, maximum: int) -> None:
    waiting = (
        select(literal(1))
        .select_from(Job)
        .where(Job.tenant == tenant, Job.status == JobStatus.PENDING)
        .limit(maximum)
        .subquery()
    )
    if (session.scalar(select(func.count()).select_from(waiting)) or 0) < maximum:
        return
    soonest_s = session.scalar(
        select(func.min(Job.time_left_s)).where(
            Job.tenant == tenant, Job.status == JobStatus.PROCESSING
        )
    )
    raise TooManyJobs(
        f"{maximum} jobs wait already, and no more may",
        limit="waiting_jobs",
        maximum=maximum,
        retry_after_s=bounded_retry_s(UNKNOWN_END_S if soonest_s is None else soonest_s),
    )


def _today(session: Session, tenant: str) -> _Today:
    row = session.execute(
        select(
            func.coalesce(func.sum(UsageEntry.size_bytes), 0),
            func.coalesce(func.sum(UsageEntry.audio_s), 0.0),
            func.extract("epoch", func.now() - start_of_today()),
        ).where(
            UsageEntry.tenant == tenant,
            UsageEntry.at >= start_of_today(),
            UsageEntry.kind == SUBMITTED,
        )
    ).one()
    return _Today(int(row[0]), float(row[1]), float(row[2]))


def _require_quota(limits: TenantLimits, today: _Today, size_bytes: int, audio_s: float) -> None:
    quotas = (
        ("bytes_per_day", limits.bytes_per_day, today.size_bytes, size_bytes),
        (
            "audio_hours_per_day",
            limits.audio_hours_per_day,
            today.audio_s / SECONDS_PER_HOUR,
            audio_s / SECONDS_PER_HOUR,
        ),
    )
    for name, maximum, used, more in quotas:
        if maximum and (used >= maximum or used + more > maximum):
            raise QuotaExceeded(
                f"{name} is {maximum:g}, and {used:.6g} were submitted today",
                limit=name,
                maximum=maximum,
                used=round(used, 3),
                retry_after_s=seconds_to_midnight(today.seconds_of_day),
            )
