"""What stands beside a job on its way in: repetitions, pieces, batches."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from domain.ids import new_id
from tables.base import JOB_ID, Base, newest

IS_UNUSED = text("job_id IS NULL OR job_id = id")  # either way no job was made of it


class IdempotencyKey(Base):
    """A submission that was made, so that its repetition finds the same job."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]  # of all that was asked, the recording included
    job_id: Mapped[UUID] = mapped_column(ForeignKey(JOB_ID, ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_idempotency_job", "job_id"),
        Index("ix_idempotency_age", "created_at"),
    )


class UploadSession(Base):
    """A recording that arrives in pieces, over as many connections as it takes (tus)."""

    __tablename__ = "upload_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str]
    key_id: Mapped[UUID | None]
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    file_path: Mapped[str]  # of the unfinished file in the store
    upload_metadata: Mapped[dict[str, Any]]  # as the client said
    job_id: Mapped[UUID | None]  # once it is whole
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_uploads_expiry", "expires_at"),
        Index("ix_uploads_unused", "tenant", "expires_at", postgresql_where=IS_UNUSED),
    )


class Batch(Base):
    """Jobs that were submitted in one call."""

    __tablename__ = "batches"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str]
    name: Mapped[str | None]
    # One entry per item that did not become a job: {number, name, code, message}
    refused: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (newest("ix_batches_tenant", "tenant"),)
