"""Whose jobs they are: tenants, their keys, what they used and what they did."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from domain.ids import new_id
from tables.base import THIS_TRANSACTION, Base


class Tenant(Base):
    """Somebody whose jobs nobody else may see, and what he may use of the installation."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(primary_key=True)
    limits: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A key, as its hash: the key itself was shown once and is nowhere."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    name: Mapped[str]
    prefix: Mapped[str]  # its first letters, to tell keys apart
    key_hash: Mapped[str] = mapped_column(unique=True)  # SHA-256 of the whole key, in hex
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_keys_tenant", "tenant", "created_at"),)


class SingleUseToken(Base):
    """Entry for one request, for browsers, which must not hold a key."""

    __tablename__ = "single_use_tokens"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    key_id: Mapped[UUID | None]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_tokens_expiry", "expires_at"),)


class UsageEntry(Base):
    """What one job used, when it was submitted or ended. It outlives the job."""

    __tablename__ = "usage_entries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant: Mapped[str]
    job_id: Mapped[UUID]
    kind: Mapped[str]  # submitted, completed
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    audio_s: Mapped[float] = mapped_column(Float, server_default=text("0"))
    compute_s: Mapped[float] = mapped_column(Float, server_default=text("0"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_usage_tenant", "tenant", "at"),)


class AuditEntry(Base):
    """Who did what to which job or key. Hashes chain the entries in the order of their ids."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tx: Mapped[int] = mapped_column(BigInteger, server_default=THIS_TRANSACTION)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    tenant: Mapped[str]
    actor: Mapped[str]  # key:ID, admin, command line, anonymous
    action: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)  # NULL until sealed
    chain_hash: Mapped[str | None]  # SHA-256 of the hash before and of this entry

    __table_args__ = (
        Index("ix_audit_tenant", "tenant", "id"),
        Index("ix_audit_target", "target", "id"),
        Index("ix_audit_unsealed", "id", postgresql_where=text("position IS NULL")),
    )
