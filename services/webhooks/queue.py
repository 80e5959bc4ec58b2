"""Messages that are due, each taken by one sender.

A claim pushes the date of the next attempt ahead. A sender that dies leaves nothing behind:
the date comes, and another one sends the message.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased

from models import TranscriptionJob, WebhookDelivery, WebhookEndpoint
from services.webhooks.identities import NO_ADDRESS
from services.webhooks.styles import STANDARD
from services.webhooks.told_at_endpoints import endpoint_style

Job = TranscriptionJob
Delivery = WebhookDelivery
Endpoint = WebhookEndpoint
Earlier = aliased(WebhookDelivery)
Identity = aliased(WebhookEndpoint)  # of the tenant, which signs for addresses of jobs

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"

NOTHING: ColumnElement[Any] = literal_column("'[]'::jsonb", JSONB)


@dataclass(frozen=True)
class Parcel:
    """A message that this process is to send now."""

    id: UUID
    tenant: str
    endpoint_id: UUID | None
    job_id: UUID
    event: str
    body: str
    attempt: int  # from 1; also the fence: a later claim counts on
    address: str  # whom it goes to: what one slow receiver holds up
    url: str | None  # None: the job that brought the address along is gone
    secrets: tuple[str, ...] = field(repr=False)
    style: str = STANDARD
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def claim_next(
    session: Session,
    *,
    lease: timedelta,
    busy_addresses: Collection[str] = (),
    busy_tenants: Collection[str] = (),
) -> Parcel | None:
    """Take the message that is due first and goes to nobody who is busy; None when none does.

    The messages of one job to one address go out in their order, until one of them fails.
    """
    due = _due(busy_addresses, busy_tenants).cte("due")
    row = session.execute(
        update(Delivery)
        .where(Delivery.id == due.c.id)
        .values(attempts=Delivery.attempts + 1, next_attempt_at=func.now() + lease)
        .returning(
            Delivery.tenant,
            Delivery.endpoint_id,
            Delivery.job_id,
            Delivery.event,
            Delivery.body,
            Delivery.attempts,
            due,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else _parcel(row)


def _due(busy_addresses: Collection[str], busy_tenants: Collection[str]) -> Select[Any]:
    is_own = Delivery.endpoint_id.is_(None)
    own = and_(
        is_own,
        Identity.tenant == Delivery.tenant,
        Identity.url == NO_ADDRESS,
    )
    own_url = Job.webhook["url"].astext
    # Addresses of jobs are told apart by their host, so that a slow one holds up itself alone.
    own_address = Delivery.tenant + " " + func.lower(func.split_part(own_url, "/", 3))
    address = func.coalesce(cast(Delivery.endpoint_id, Text), own_address, Delivery.tenant)
    signer = [
        func.coalesce(getattr(Endpoint, name), getattr(Identity, name)).label(name)
        for name in ("secret", "old_secret", "old_secret_until")
    ]
    return (
        select(
            Delivery.id,
            address.label("address"),
            case((is_own, own_url), else_=Endpoint.url).label("url"),
            Job.webhook.label("webhook"),
            func.now().label("now"),
            *signer,
        )
        .select_from(Delivery)
        .outerjoin(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .outerjoin(Identity, own)
        .outerjoin(Job, Job.id == Delivery.job_id)
        .where(
            Delivery.status == WAITING,
            Delivery.next_attempt_at <= func.now(),
            address.not_in(busy_addresses),
            Delivery.tenant.not_in(busy_tenants),
            ~_is_behind_another(),
        )
        .order_by(Delivery.next_attempt_at, Delivery.created_at, Delivery.id)
        .limit(1)
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _is_behind_another() -> ColumnElement[bool]:
    """Whether an earlier message of the job to the same address was not tried to its end yet."""
    return exists().where(
        Earlier.job_id == Delivery.job_id,
        Earlier.endpoint_id.is_not_distinct_from(Delivery.endpoint_id),
        Earlier.status == WAITING,
        Earlier.log == NOTHING,
        Earlier.created_at < Delivery.created_at,
    )


def _parcel(row: Row[Any]) -> Parcel:
    is_overlapping = row.old_secret is not None and row.old_secret_until > row.now
    webhook = row.webhook or {}
    is_own = row.endpoint_id is None
    style = webhook.get("style") if is_own else endpoint_style(webhook, row.endpoint_id)
    return Parcel(
        id=row.id,
        tenant=row.tenant,
        endpoint_id=row.endpoint_id,
        job_id=row.job_id,
        event=row.event,
        body=row.body,
        attempt=row.attempts,
        address=row.address,
        url=row.url,
        secrets=(row.secret, row.old_secret) if is_overlapping else (row.secret,),
        style=style or STANDARD,
        headers=(webhook.get("headers") or {}) if is_own else {},
    )
