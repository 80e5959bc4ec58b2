"""What the server notes about itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from tables.base import Base


class WorkerProcess(Base):
    """One prefork child as it last reported: its slot and the model hosts of its machine."""

    __tablename__ = "worker_processes"

    id: Mapped[str] = mapped_column(primary_key=True)  # worker name/pid
    worker: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    queues: Mapped[str] = mapped_column(server_default="")  # consumed, joined by commas
    job_id: Mapped[UUID | None]
    idle_since: Mapped[datetime | None]  # NULL while it works on a job
    pool: Mapped[dict[str, Any]]  # hosts: their statuses, with ModelPool.get_stats()
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StorageFinding(Base):
    """A disagreement between the store and the rows, as the audit last saw it."""

    __tablename__ = "storage_findings"

    kind: Mapped[str] = mapped_column(primary_key=True)  # file_without_row, row_without_file
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[UUID | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    found_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StorageAudit(Base):
    """When a check of the store against the rows last ran."""

    __tablename__ = "storage_audits"

    name: Mapped[str] = mapped_column(primary_key=True)  # files, rows
    ran_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]  # when it had last gone through everything
