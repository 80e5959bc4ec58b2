"""Endpoints: the addresses that a tenant wants to be told at."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, null, select, update
from sqlalchemy.orm import Session

from domain.errors import TooManyWebhooks, WebhookNotFound
from domain.ids import new_id
from models import Tenant, WebhookEndpoint
from services.context import Services
from services.webhooks.addresses import check_address
from services.webhooks.events import ENDS, check_events
from services.webhooks.identities import NO_ADDRESS, ensure_identities, identity_id
from services.webhooks.pausing import ASKED, pause, resume
from services.webhooks.signing import new_secret

logger = logging.getLogger(__name__)

Endpoint = WebhookEndpoint

MAX_ENDPOINTS = 20  # of one tenant: every event is written down once for each
MAX_OVERLAP_H = 7 * 24.0


@dataclass(frozen=True)
class EndpointView:
    """An endpoint as its tenant sees it."""

    id: UUID
    url: str
    description: str
    events: list[str]
    is_paused: bool
    paused_at: datetime | None
    pause_reason: str | None  # gone, failing, asked
    failing_since: datetime | None  # the first failure after the last success
    old_secret_until: datetime | None  # while two secrets sign
    created_at: datetime
    secret: str | None = field(default=None, repr=False)  # when it was just made


def create_endpoint(
    services: Services,
    tenant: str,
    url: str,
    *,
    events: Iterable[str] = ENDS,
    description: str = "",
) -> EndpointView:
    """Tell this address from now on. The view has the secret, which is not shown again.

    Raises WebhookRefused, OptionInvalid, TooManyWebhooks.
    """
    wanted = check_events(events, option="events")
    check_address(services, url, option="url")
    with services.open_session() as session:
        # Two at once would both find room for one.
        session.execute(select(Tenant.name).where(Tenant.name == tenant).with_for_update())
        count = session.scalar(select(func.count()).where(*_of(tenant))) or 0
        if count >= MAX_ENDPOINTS:
            raise TooManyWebhooks(
                f"there are {count} endpoints already, as many as one may have",
                maximum=MAX_ENDPOINTS,
            )
        endpoint = Endpoint(
            id=new_id(),
            tenant=tenant,
            url=url,
            description=description,
            events=wanted,
            secret=new_secret(),
        )
        session.add(endpoint)
        session.flush()
        session.refresh(endpoint)
        logger.info("webhook_created", extra={"endpoint_id": str(endpoint.id)})
        return _view(endpoint, with_secret=True)


def list_endpoints(services: Services, tenant: str) -> list[EndpointView]:
    """All endpoints of a tenant, oldest first."""
    query = select(Endpoint).where(*_of(tenant)).order_by(Endpoint.created_at, Endpoint.id)
    with services.open_session() as session:
        return [_view(endpoint) for endpoint in session.scalars(query)]


def get_endpoint(services: Services, tenant: str, endpoint_id: UUID) -> EndpointView:
    """One endpoint. Raises WebhookNotFound."""
    with services.open_session() as session:
        return _view(find_endpoint(session, tenant, endpoint_id))


def change_endpoint(
    services: Services, tenant: str, endpoint_id: UUID, changes: dict[str, Any]
) -> EndpointView:
    """Change url, events, description or is_paused; what is not named stays.

    Messages that wait go to the new address. Raises WebhookNotFound, WebhookRefused,
    OptionInvalid.
    """
    values: dict[str, Any] = {
        name: changes[name] for name in ("url", "description") if name in changes
    }
    if "url" in values:
        check_address(services, values["url"], option="url")
    if "events" in changes:
        values["events"] = check_events(changes["events"], option="events")
    with services.open_session() as session:
        endpoint = find_endpoint(session, tenant, endpoint_id, for_update=True)
        if values:
            _set(session, endpoint_id, **values)
        is_paused = endpoint.paused_at is not None
        if changes.get("is_paused", is_paused) != is_paused:
            if is_paused:
                resume(session, endpoint_id)
            else:
                pause(session, endpoint_id, ASKED)
        return _view(find_endpoint(session, tenant, endpoint_id))


def delete_endpoint(services: Services, tenant: str, endpoint_id: UUID) -> None:
    """Tell this address nothing more, and forget its messages. Raises WebhookNotFound."""
    with services.open_session() as session:
        find_endpoint(session, tenant, endpoint_id, for_update=True)
        session.execute(delete(Endpoint).where(Endpoint.id == endpoint_id))
    logger.info("webhook_deleted", extra={"endpoint_id": str(endpoint_id)})


def resume_endpoint(services: Services, tenant: str, endpoint_id: UUID) -> EndpointView:
    """End a pause; what waited is sent now. Raises WebhookNotFound."""
    return change_endpoint(services, tenant, endpoint_id, {"is_paused": False})


def rotate_secret(
    services: Services, tenant: str, endpoint_id: UUID, *, overlap_h: float
) -> EndpointView:
    """Sign with a new secret, and for some hours with the old one as well.

    The view has the new secret, which is not shown again. Raises WebhookNotFound.
    """
    with services.open_session() as session:
        find_endpoint(session, tenant, endpoint_id, for_update=True)
        return _rotate(session, endpoint_id, overlap_h)


def rotate_tenant_secret(services: Services, tenant: str, *, overlap_h: float) -> EndpointView:
    """The same for the secret that signs what goes to the addresses of the tenant's jobs."""
    with services.open_session() as session:
        ensure_identities(session, [tenant])
        return _rotate(session, identity_id(tenant), overlap_h)


def find_endpoint(
    session: Session, tenant: str, endpoint_id: UUID, *, for_update: bool = False
) -> Endpoint:
    """The row, read afresh. Raises WebhookNotFound, also for one of somebody else."""
    query = select(Endpoint).where(Endpoint.id == endpoint_id, *_of(tenant))
    if for_update:
        query = query.with_for_update()
    endpoint = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if endpoint is None:
        raise WebhookNotFound("there is no endpoint with this id", webhook_id=str(endpoint_id))
    return endpoint


def _of(tenant: str) -> tuple[Any, ...]:
    return Endpoint.tenant == tenant, Endpoint.url != NO_ADDRESS


def _rotate(session: Session, endpoint_id: UUID, overlap_h: float) -> EndpointView:
    is_kept = overlap_h > 0
    until = func.now() + timedelta(hours=overlap_h)
    _set(
        session,
        endpoint_id,
        old_secret=Endpoint.secret if is_kept else null(),
        old_secret_until=until if is_kept else null(),
        secret=new_secret(),
    )
    logger.info("webhook_secret_rotated", extra={"endpoint_id": str(endpoint_id)})
    query = select(Endpoint).where(Endpoint.id == endpoint_id)
    endpoint = session.scalars(query.execution_options(populate_existing=True)).one()
    return _view(endpoint, with_secret=True)


def _set(session: Session, endpoint_id: UUID, **values: Any) -> None:
    session.execute(
        update(Endpoint)
        .where(Endpoint.id == endpoint_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _view(endpoint: Endpoint, *, with_secret: bool = False) -> EndpointView:
    return EndpointView(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        events=endpoint.events,
        is_paused=endpoint.paused_at is not None,
        paused_at=endpoint.paused_at,
        pause_reason=endpoint.pause_reason,
        failing_since=endpoint.failing_since,
        old_secret_until=endpoint.old_secret_until,
        created_at=endpoint.created_at,
        secret=endpoint.secret if with_secret else None,
    )
