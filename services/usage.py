"""What tenants use: one entry when a job is submitted and one when it is completed.

The entries are written by the statements that create and complete a job, so they are right
whatever dies when; they are only ever added, so nobody waits for anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Date, Insert, cast, func, insert, literal, select, union
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import CTE

from domain.access import DEFAULT_TENANT
from domain.errors import OptionInvalid
from models import Tenant, UsageEntry
from services.context import Services

SUBMITTED = "submitted"
COMPLETED = "completed"
MAX_DAYS = 366
DEFAULT_DAYS = 30

entries: Any = UsageEntry.__table__


@dataclass(frozen=True)
class UsageDay:
    """What one tenant used on one day of UTC."""

    tenant: str
    day: date
    jobs_submitted: int
    jobs_completed: int
    submitted_audio_s: float  # as the probe measured them
    audio_s: float  # transcribed, as they were decoded
    compute_s: float  # of models at work on them
    bytes: int  # of recordings


@dataclass(frozen=True)
class Usage:
    """Usage of days, both ends included; days without any are left out."""

    first: date
    last: date
    days: Sequence[UsageDay]


def read_usage(
    services: Services, tenant: str | None, first: date | None = None, last: date | None = None
) -> Usage:
    """The usage of a tenant, or of all, by day; the last 30 days unless said otherwise.

    Raises OptionInvalid for days in the wrong order or for more than a year.
    """
    with services.open_statement() as session:
        last = last or _today(session)
        first = first or _earlier(last, DEFAULT_DAYS - 1)
        if not 0 <= (last - first).days < MAX_DAYS:
            raise OptionInvalid(
                f"from must not be after to, and they may span {MAX_DAYS} days", option="from"
            )
        rows = session.execute(_by_day(tenant, first, last)).all()
    return Usage(first, last, [UsageDay(*row) for row in rows])


def start_of_today() -> ColumnElement[datetime]:
    """The last midnight in UTC."""
    return func.date_trunc("day", func.now(), "UTC")


def every_tenant() -> Any:
    """The names of all tenants, for queries of everybody: the index begins with the name."""
    return union(select(Tenant.name), select(literal(DEFAULT_TENANT)))


def entry_from(
    source: CTE,
    kind: str,
    *,
    size_bytes: ColumnElement[int] | None = None,
    audio_s: ColumnElement[float],
    compute_s: ColumnElement[float] | None = None,
) -> Insert:
    """An entry for each row of `source` (id, tenant), as a part of the statement that makes it."""
    return insert(entries).from_select(
        ["tenant", "job_id", "kind", "size_bytes", "audio_s", "compute_s"],
        select(
            source.c.tenant,
            source.c.id,
            literal(kind),
            literal(0) if size_bytes is None else size_bytes,
            func.coalesce(audio_s, 0.0),
            literal(0.0) if compute_s is None else compute_s,
        ),
    )


def _by_day(tenant: str | None, first: date, last: date) -> Any:
    columns = entries.c
    day = cast(func.timezone("UTC", columns.at), Date)
    is_submission = columns.kind == SUBMITTED
    whose = columns.tenant.in_(every_tenant()) if tenant is None else columns.tenant == tenant
    return (
        select(
            columns.tenant,
            day.label("day"),
            func.count().filter(is_submission),
            func.count().filter(~is_submission),
            func.coalesce(func.sum(columns.audio_s).filter(is_submission), 0.0),
            func.coalesce(func.sum(columns.audio_s).filter(~is_submission), 0.0),
            func.sum(columns.compute_s),
            func.sum(columns.size_bytes),
        )
        .where(whose, columns.at >= _midnight(first), columns.at < _midnight(last, days=1))
        .group_by(columns.tenant, day)
        .order_by(day, columns.tenant)
    )


def _today(session: Session) -> date:
    return session.execute(select(cast(func.timezone("UTC", func.now()), Date))).scalar_one()


def _earlier(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - date.min).days))


def _midnight(day: date, *, days: int = 0) -> datetime:
    at = datetime.combine(day, time(), UTC)
    return at + timedelta(days=days) if day < date.max else at
