"""The history of a job, as its owner sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from models import JobEvent
from services.context import Services
from services.jobs import find_job

# For the operator, who reads them in the dead letters.
HIDDEN = frozenset({"stack_trace", "file_path", "path", "key", "note"})


@dataclass(frozen=True)
class HistoryEntry:
    """One transition of a job, or something that was done to it."""

    event: str
    status: str  # afterwards
    attempt: int
    actor: str  # a worker, the reconciler, key:ID, admin, api, or anonymous with AUTH=off
    at: datetime
    detail: dict[str, Any]


def job_history(
    services: Services, job_id: UUID, *, tenant: str | None = None
) -> list[HistoryEntry]:
    """Everything that happened to a job, oldest first. Raises JobNotFound."""
    with services.open_session() as session:
        find_job(session, job_id, tenant)
        rows = session.scalars(
            select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
        ).all()
    return [
        HistoryEntry(
            event=row.event,
            status=row.status,
            attempt=row.attempt,
            actor=row.actor,
            at=row.at,
            detail=shown_detail(row.detail),
        )
        for row in rows
    ]


def shown_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an event without those that are for the operator alone."""
    return {name: value for name, value in detail.items() if name not in HIDDEN}
