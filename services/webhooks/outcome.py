"""What became of an attempt: delivered, to be sent again, given up, or an address that pauses."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Row, case, func, literal, null, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from models import WebhookDelivery, WebhookEndpoint
from services.webhooks.pausing import FAILING, GONE, pause
from services.webhooks.queue import DELIVERED, FAILED, WAITING, Parcel
from services.webhooks.schedule import next_delay

logger = logging.getLogger(__name__)

Delivery = WebhookDelivery
Endpoint = WebhookEndpoint

MAX_LOG = 100  # attempts that are remembered of one message
MAX_RETRY_AFTER_S = 24 * 3600


@dataclass(frozen=True)
class Answer:
    """How an attempt ended: a status of HTTP, or a word for why there is none."""

    status: int | None
    reason: str | None  # timeout, unreachable, address_refused, ...
    elapsed_s: float
    is_final: bool = False  # no later attempt can fare better
    retry_after_s: float = 0.0  # what the receiver asked for

    @property
    def is_success(self) -> bool:
        """Whether the receiver took the message."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - of HTTP

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it wants no more of them."""
        return self.status == HTTPStatus.GONE


def record_outcome(
    session: Session, parcel: Parcel, answer: Answer, *, pause_after: timedelta, draw: float
) -> bool:
    """Write down how an attempt ended. False when a later claim has the message by now.

    `draw` is a random number from 0 to 1.
    """
    endpoint = _lock_endpoint(session, parcel)
    delay = _delay(parcel, answer, draw)
    reason = _pause_reason(endpoint, answer, pause_after)
    is_paused = endpoint is not None and (reason or endpoint.paused_at) is not None
    status = DELIVERED if answer.is_success else FAILED if delay is None else WAITING
    row = session.execute(
        update(Delivery)
        .where(
            Delivery.id == parcel.id,
            Delivery.status == WAITING,
            Delivery.attempts == parcel.attempt,
        )
        .values(
            status=status,
            log=_log_with(answer, delay),
            delivered_at=func.now() if answer.is_success else null(),
            next_attempt_at=null() if delay is None or is_paused else func.now() + delay,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return False
    if endpoint is not None:
        _note_health(session, endpoint, answer, reason)
    elif answer.is_gone:
        _give_up_rest(session, parcel)
    return True


def _lock_endpoint(session: Session, parcel: Parcel) -> Row[*tuple[Any, ...]] | None:
    """The endpoint's state; locked, so that it is not resumed before this attempt is noted."""
    if parcel.endpoint_id is None:
        return None
    return session.execute(
        select(
            Endpoint.id,
            Endpoint.paused_at,
            Endpoint.failing_since,
            func.now().label("now"),
        )
        .where(Endpoint.id == parcel.endpoint_id)
        .with_for_update()
    ).one_or_none()


def _delay(parcel: Parcel, answer: Answer, draw: float) -> timedelta | None:
    """The wait before the next attempt; None when there is none."""
    is_final = answer.is_final or (answer.is_gone and parcel.endpoint_id is None)
    if answer.is_success or is_final:
        return None
    delay = next_delay(parcel.event, parcel.attempt, draw)
    asked = timedelta(seconds=min(answer.retry_after_s, MAX_RETRY_AFTER_S))
    return None if delay is None else max(delay, asked)


def _pause_reason(
    endpoint: Row[*tuple[Any, ...]] | None, answer: Answer, after: timedelta
) -> str | None:
    """Why the endpoint must be paused now, if it must."""
    if endpoint is None or endpoint.paused_at is not None or answer.is_success:
        return None
    if answer.is_gone:
        return GONE
    is_hopeless = endpoint.failing_since and endpoint.now - endpoint.failing_since >= after
    return FAILING if is_hopeless else None


def _log_with(answer: Answer, delay: timedelta | None) -> Any:
    """The log with a line about this attempt, and without the oldest when it grows too long.

    Nothing of what the receiver said but its status: what stands behind an address need not be
    meant for whoever named the address.
    """
    facts = {
        "status": answer.status,
        "reason": answer.reason,
        "ms": round(answer.elapsed_s * 1000),
        "retry_in_s": None if delay is None else delay.total_seconds(),
    }
    is_full = func.jsonb_array_length(Delivery.log) >= MAX_LOG
    kept = case((is_full, Delivery.log.op("-")(literal(0, Integer))), else_=Delivery.log)
    at = func.jsonb_build_object("at", func.now())
    return kept.op("||")(at.op("||")(literal(facts, JSONB)))


def _note_health(
    session: Session, endpoint: Row[*tuple[Any, ...]], answer: Answer, reason: str | None
) -> None:
    if answer.is_success and endpoint.failing_since is not None:
        _set_failing(session, endpoint.id, null())
    elif not answer.is_success and endpoint.failing_since is None:
        _set_failing(session, endpoint.id, func.now())
    if reason is not None:
        pause(session, endpoint.id, reason)
        logger.warning("webhook_paused", extra={"endpoint_id": str(endpoint.id), "reason": reason})


def _set_failing(session: Session, endpoint_id: UUID, since: Any) -> None:
    session.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id)
        .values(failing_since=since)
        .execution_options(synchronize_session=False)
    )


def _give_up_rest(session: Session, parcel: Parcel) -> None:
    """Send a job's own address nothing more: it said that it wants no more."""
    session.execute(
        update(Delivery)
        .where(
            Delivery.job_id == parcel.job_id,
            Delivery.endpoint_id.is_(None),
            Delivery.status == WAITING,
        )
        .values(status=FAILED, next_attempt_at=null())
        .execution_options(synchronize_session=False)
    )
