"""What the store holds and what the audit found, for the operator."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from models import StorageAudit, StorageFinding
from services.context import Services
from services.storage_audit import KINDS

SHOWN = 100  # findings in a report


@dataclass(frozen=True)
class FindingView:
    """One disagreement between the store and the rows."""

    kind: str
    key: str
    job_id: UUID | None
    size_bytes: int | None  # of the file, or of the recording that is missing
    found_at: datetime
    seen_at: datetime  # when it was last seen to be so


@dataclass(frozen=True)
class AuditView:
    """How far one check has come."""

    name: str  # files, rows
    ran_at: datetime
    finished_at: datetime | None  # when it had last gone through everything


@dataclass(frozen=True)
class StorageReport:
    """The store as the operator sees it."""

    used_bytes: int  # of the disk, by everything on it
    free_bytes: int
    counts: dict[str, int]  # findings of each kind
    audits: list[AuditView]
    findings: list[FindingView]  # the newest


def storage_report(services: Services) -> StorageReport:
    """How full the store is and what was found in it. Raises StorageError."""
    usage = services.storage.usage()
    newest = select(StorageFinding).order_by(
        StorageFinding.found_at.desc(), StorageFinding.kind, StorageFinding.key
    )
    by_kind = select(StorageFinding.kind, func.count().label("found")).group_by(StorageFinding.kind)
    with services.open_session() as session:
        counted = {row.kind: row.found for row in session.execute(by_kind)}
        found = session.scalars(newest.limit(SHOWN)).all()
        audits = session.scalars(select(StorageAudit).order_by(StorageAudit.name)).all()
    return StorageReport(
        used_bytes=usage.used_bytes,
        free_bytes=usage.free_bytes,
        counts={kind: counted.get(kind, 0) for kind in KINDS},
        audits=[AuditView(row.name, row.ran_at, row.finished_at) for row in audits],
        findings=[
            FindingView(
                kind=row.kind,
                key=row.key,
                job_id=row.job_id,
                size_bytes=row.size_bytes,
                found_at=row.found_at,
                seen_at=row.seen_at,
            )
            for row in found
        ],
    )
