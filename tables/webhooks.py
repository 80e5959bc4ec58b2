"""Who is told of jobs, and what was said."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from domain.ids import new_id
from tables.base import Base, newest

IS_WAITING = text("status = 'waiting'")


class WebhookEndpoint(Base):
    """An address that a tenant wants to be told at."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[str]  # signing needs it in the clear
    old_secret: Mapped[str | None]  # signs as well until old_secret_until
    old_secret_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_endpoints_tenant", "tenant"),)


class WebhookDelivery(Base):
    """One message to one address, with the bytes that are signed and sent."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str]
    # NULL: an address that the job itself brought along (transcription_jobs.webhook)
    endpoint_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    )
    job_id: Mapped[UUID]
    event: Mapped[str]
    source: Mapped[str]  # what it tells of, once per address: job_events' id or a progress mark
    body: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="waiting")  # waiting, delivered, failed
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    log: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_deliveries_due", "next_attempt_at", postgresql_where=IS_WAITING),
        Index("ix_deliveries_line", "endpoint_id", "next_attempt_at", postgresql_where=IS_WAITING),
        newest("ix_deliveries_endpoint", "endpoint_id"),
        newest("ix_deliveries_tenant", "tenant"),
        UniqueConstraint("job_id", "source", "endpoint_id", postgresql_nulls_not_distinct=True),
    )


class WebhookCursor(Base):
    """How far the history of the jobs was read for webhooks. One row."""

    __tablename__ = "webhook_cursors"

    name: Mapped[str] = mapped_column(primary_key=True)
    tx: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[int] = mapped_column(BigInteger)
