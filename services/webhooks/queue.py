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
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
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
    claimed = session.scalar(
        update(Delivery)
        .where(Delivery.id == due.c.id)
        .values(attempts=Delivery.attempts + 1, next_attempt_at=func.now() + lease)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return None if claimed is None else _read_parcel(session, claimed)


def _due(busy_addresses: Collection[str], busy_tenants: Collection[str]) -> Select[Any]:
    """The message to take. Only what is passed over costs more than a look at its row."""
    busy_endpoints = [UUID(name) for name in busy_addresses if not _is_of_jobs(name)]
    busy_hosts = [name for name in busy_addresses if _is_of_jobs(name)]
    conditions = [
        Delivery.status == WAITING,
        Delivery.next_attempt_at <= func.now(),
        _is_none_of(Delivery.endpoint_id, busy_endpoints),
        Delivery.tenant.not_in(busy_tenants),
        ~_is_behind_another(),
    ]
    if busy_hosts:
        of_job = select(_host_of_job()).where(Job.id == Delivery.job_id).scalar_subquery()
        conditions.append(
            case((Delivery.endpoint_id.is_(None), _is_none_of(of_job, busy_hosts)), else_=true())
        )
    return (
        select(Delivery.id)
        .where(*conditions)
        .order_by(Delivery.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _is_none_of(value: Any, names: Collection[Any]) -> ColumnElement[bool]:
    return or_(value.is_(None), value.not_in(names)) if names else true()


def _is_of_jobs(address: str) -> bool:
    """Whether it is a host that jobs brought along, and not the id of an endpoint."""
    return " " in address


def _host_of_job() -> ColumnElement[str]:
    # Addresses of jobs are told apart by their host, so that a slow one holds up itself alone.
    return Job.tenant + " " + func.lower(func.split_part(Job.webhook["url"].astext, "/", 3))


def _is_behind_another() -> Any:
    """Whether an earlier message of the job to the same address was not tried to its end yet."""
    earlier = (
        exists()
        .where(
            Earlier.job_id == Delivery.job_id,
            Earlier.endpoint_id.is_not_distinct_from(Delivery.endpoint_id),
            Earlier.status == WAITING,
            Earlier.log == NOTHING,
            Earlier.created_at < Delivery.created_at,
        )
        .correlate(Delivery)
    )
    # Asked of one row at a time: as a join it would be worked out for all that wait.
    return select(earlier).correlate(Delivery).scalar_subquery()


def _read_parcel(session: Session, delivery_id: UUID) -> Parcel:
    """All that is needed to send it."""
    signs = or_(
        Endpoint.id == Delivery.endpoint_id,
        and_(
            Delivery.endpoint_id.is_(None),
            Endpoint.tenant == Delivery.tenant,
            Endpoint.url == NO_ADDRESS,
        ),
    )
    row = session.execute(
        select(
            *(Delivery.id, Delivery.tenant, Delivery.endpoint_id, Delivery.job_id),
            *(Delivery.event, Delivery.body, Delivery.attempts),
            *(Endpoint.url, Endpoint.secret, Endpoint.old_secret, Endpoint.old_secret_until),
            Job.webhook.label("webhook"),
            _host_of_job().label("host"),
            func.now().label("now"),
        )
        .select_from(Delivery)
        .join(Endpoint, signs)
        .outerjoin(Job, Job.id == Delivery.job_id)
        .where(Delivery.id == delivery_id)
    ).one()
    return _parcel(row)


def _parcel(row: Row[*tuple[Any, ...]]) -> Parcel:
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
        address=(row.host or f"{row.tenant} ") if is_own else str(row.endpoint_id),
        url=webhook.get("url") if is_own else row.url,
        secrets=(row.secret, row.old_secret) if is_overlapping else (row.secret,),
        style=style or STANDARD,
        headers=(webhook.get("headers") or {}) if is_own else {},
    )
