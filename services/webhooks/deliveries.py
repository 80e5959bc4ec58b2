"""The log of messages, and sending some of them again.

A message that is sent again is the same message: the same bytes under the same `webhook-id`, as
the specification has it, so that a receiver that knows it can tell. Only its timestamp, and with
it the signature, is that of the attempt.
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, null, select, tuple_, update
from sqlalchemy.orm import Session

from domain.errors import DeliveryNotFound, OptionInvalid
from domain.ids import new_id
from models import WebhookDelivery, WebhookEndpoint
from services.context import Services
from services.job_lists import decode_cursor, encode_cursor
from services.webhooks.endpoints import find_endpoint
from services.webhooks.events import TEST, type_of
from services.webhooks.queue import DELIVERED, FAILED, WAITING
from services.webhooks.signing import message_id
from services.webhooks.styles import moment

logger = logging.getLogger(__name__)

Delivery = WebhookDelivery
Endpoint = WebhookEndpoint

STATUSES = (WAITING, DELIVERED, FAILED)
NO_JOB = UUID(int=0)  # of test messages


@dataclass(frozen=True)
class DeliveryView:
    """One message to one address, and how its delivery went."""

    id: UUID
    message_id: str  # the header webhook-id
    webhook_id: UUID | None  # None: the job's own address
    job_id: UUID | None  # None: a test
    event: str
    status: str
    attempts: int  # begun, since it was first or last asked for
    next_attempt_at: datetime | None  # None also while its endpoint is paused
    created_at: datetime  # when it happened
    delivered_at: datetime | None
    log: list[dict[str, Any]]
    body: str | None = None  # as signed and sent; not in lists


@dataclass(frozen=True)
class DeliveryFilter:
    """Which messages of a tenant to list; None means any."""

    endpoint_id: UUID | None = None
    job_id: UUID | None = None
    event: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class DeliveryPage:
    """One page, newest first, and the cursor of the next where there is one."""

    deliveries: list[DeliveryView]
    next_cursor: str | None
    has_more: bool


def list_deliveries(
    services: Services,
    tenant: str,
    filters: DeliveryFilter,
    *,
    cursor: str | None = None,
    limit: int = 25,
) -> DeliveryPage:
    """One page of the log. Raises CursorInvalid, WebhookNotFound."""
    query = (
        select(*_columns())
        .where(*_chosen(tenant, filters))
        .order_by(Delivery.created_at.desc(), Delivery.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        place = tuple_(*decode_cursor(cursor))
        query = query.where(tuple_(Delivery.created_at, Delivery.id) < place)
    with services.open_session() as session:
        if filters.endpoint_id is not None:
            find_endpoint(session, tenant, filters.endpoint_id)
        rows = session.execute(query).all()
    page, has_more = rows[:limit], len(rows) > limit
    last = page[-1] if has_more else None
    return DeliveryPage(
        deliveries=[_view(row) for row in page],
        next_cursor=encode_cursor(last.created_at, last.id) if last else None,
        has_more=has_more,
    )


def get_delivery(services: Services, tenant: str, delivery_id: UUID) -> DeliveryView:
    """One message with its body. Raises DeliveryNotFound."""
    with services.open_session() as session:
        return _read(session, tenant, delivery_id)


def retry_delivery(services: Services, tenant: str, delivery_id: UUID) -> DeliveryView:
    """Send a message now; one that had ended has all its attempts before it again.

    Raises DeliveryNotFound.
    """
    with services.open_session() as session:
        found = _read(session, tenant, delivery_id)
        endpoint = (
            find_endpoint(session, tenant, found.webhook_id, for_update=True)
            if found.webhook_id
            else None
        )
        _replay(session, endpoint, Delivery.id == delivery_id)
        return _read(session, tenant, delivery_id)


def replay_deliveries(
    services: Services,
    tenant: str,
    endpoint_id: UUID,
    *,
    since: datetime,
    until: datetime,
    status: str | None = FAILED,
) -> int:
    """Send again what happened from `since` until before `until`, oldest first. Returns how many.

    `status` is failed or delivered, None both; what waits is sent in any case. Raises
    WebhookNotFound, OptionInvalid.
    """
    if until <= since:
        raise OptionInvalid("`to` must be after `from`", option="to")
    with services.open_session() as session:
        endpoint = find_endpoint(session, tenant, endpoint_id, for_update=True)
        count = _replay(
            session,
            endpoint,
            Delivery.endpoint_id == endpoint_id,
            Delivery.created_at >= since,
            Delivery.created_at < until,
            Delivery.status != WAITING if status is None else Delivery.status == status,
        )
    logger.info("webhook_replay", extra={"endpoint_id": str(endpoint_id), "count": count})
    return count


def send_test(services: Services, tenant: str, endpoint_id: UUID) -> DeliveryView:
    """Send a message that tells of nothing, once, also while paused. Raises WebhookNotFound."""
    delivery_id, now = new_id(), datetime.now(UTC)
    body = {
        "type": type_of(TEST),
        "timestamp": moment(now),
        "data": {"webhook_id": str(endpoint_id), "message": "The address works."},
    }
    with services.open_session() as session:
        find_endpoint(session, tenant, endpoint_id)
        session.add(
            Delivery(
                id=delivery_id,
                tenant=tenant,
                endpoint_id=endpoint_id,
                job_id=NO_JOB,
                event=TEST,
                source=str(delivery_id),
                body=json.dumps(body, separators=(",", ":")),
            )
        )
        session.flush()
        return _read(session, tenant, delivery_id)


def _replay(session: Session, endpoint: Endpoint | None, *which: Any) -> int:
    """Make messages due again; those of a paused endpoint once it is resumed.

    The caller holds the endpoint's row, so that it is not resumed meanwhile.
    """
    is_paused = endpoint is not None and endpoint.paused_at is not None
    rows = session.execute(
        update(Delivery)
        .where(*which)
        .values(
            status=WAITING,
            # One that is under way just now must still find that somebody else has it.
            attempts=case((Delivery.status == WAITING, Delivery.attempts), else_=0),
            delivered_at=null(),
            # In the past, so at once; the oldest first.
            next_attempt_at=null() if is_paused else Delivery.created_at,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    return len(rows)


def _read(session: Session, tenant: str, delivery_id: UUID) -> DeliveryView:
    query = select(*_columns(), Delivery.body).where(
        Delivery.id == delivery_id, Delivery.tenant == tenant
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise DeliveryNotFound("there is no message with this id", delivery_id=str(delivery_id))
    return _view(row, body=row.body)


def _columns() -> tuple[Any, ...]:
    return (
        Delivery.id,
        Delivery.endpoint_id,
        Delivery.job_id,
        Delivery.event,
        Delivery.status,
        Delivery.attempts,
        Delivery.next_attempt_at,
        Delivery.created_at,
        Delivery.delivered_at,
        Delivery.log,
    )


def _chosen(tenant: str, filters: DeliveryFilter) -> list[Any]:
    wanted = {
        Delivery.endpoint_id: filters.endpoint_id,
        Delivery.job_id: filters.job_id,
        Delivery.event: filters.event,
        Delivery.status: filters.status,
    }
    return [
        Delivery.tenant == tenant,
        *(column == value for column, value in wanted.items() if value is not None),
    ]


def _view(row: Row[*tuple[Any, ...]], *, body: str | None = None) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        message_id=message_id(row.id),
        webhook_id=row.endpoint_id,
        job_id=None if row.job_id == NO_JOB else row.job_id,
        event=row.event,
        status=row.status,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
        log=row.log,
        body=body,
    )
