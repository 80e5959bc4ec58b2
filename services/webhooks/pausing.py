"""Endpoints that get nothing for a while. Their messages wait, without a date, until resumed."""

from uuid import UUID

from sqlalchemy import func, null, update
from sqlalchemy.orm import Session

from models import WebhookDelivery, WebhookEndpoint
from services.webhooks.queue import WAITING

Delivery = WebhookDelivery
Endpoint = WebhookEndpoint

GONE, FAILING, ASKED = "gone", "failing", "asked"  # why an endpoint is paused


def pause(session: Session, endpoint_id: UUID, reason: str) -> None:
    """Send it nothing from now on. The caller holds its row."""
    session.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id)
        .values(paused_at=func.now(), pause_reason=reason)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.status == WAITING)
        .values(next_attempt_at=null())
        .execution_options(synchronize_session=False)
    )


def resume(session: Session, endpoint_id: UUID) -> None:
    """Send what waited, each with all its attempts before it. The caller holds the row."""
    session.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id)
        .values(paused_at=null(), pause_reason=null(), failing_since=null())
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Delivery)
        .where(
            Delivery.endpoint_id == endpoint_id,
            Delivery.status == WAITING,
            Delivery.next_attempt_at.is_(None),
        )
        .values(next_attempt_at=Delivery.created_at, attempts=0)  # oldest first
        .execution_options(synchronize_session=False)
    )
