"""Jobs whose door words what the tenant's own endpoints are told.

Some APIs know no address of a job's own: their clients say that the job shall be told of, and
the endpoints that the account has hear it in that API's words. `transcription_jobs.webhook` then
has no `url`; where it names an `endpoint_id`, the other endpoints hear of the job as of any.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from domain.errors import OptionInvalid
from models import WebhookEndpoint
from services.context import Services
from services.webhooks.identities import NO_ADDRESS


def tell_endpoints(
    services: Services,
    tenant: str,
    *,
    style: str,
    data: Mapping[str, Any],
    endpoint_id: UUID | None = None,
) -> dict[str, Any]:
    """What `Submission.webhook` holds: this job is told of in `style` at the tenant's endpoints.

    Raises OptionInvalid naming `webhook` when the tenant has none, `webhook_id` when it has not
    the one that is named.
    """
    query = select(WebhookEndpoint.id).where(
        WebhookEndpoint.tenant == tenant, WebhookEndpoint.url != NO_ADDRESS
    )
    with services.open_statement() as session:
        known = set(session.scalars(query))
    if not known:
        raise OptionInvalid(
            "there is no webhook endpoint: make one first (POST /webhooks)", option="webhook"
        )
    if endpoint_id is not None and endpoint_id not in known:
        raise OptionInvalid("there is no webhook endpoint with this id", option="webhook_id")
    return {
        "url": None,
        "endpoint_id": None if endpoint_id is None else str(endpoint_id),
        "events": None,
        "style": style,
        "headers": {},
        "data": dict(data),
    }


def endpoint_style(webhook: Mapping[str, Any] | None, endpoint_id: UUID | None) -> str | None:
    """The style in which an endpoint hears of a job; None: in the one that it always has."""
    if webhook is None or webhook.get("url") is not None:
        return None
    chosen = webhook.get("endpoint_id")
    if chosen is not None and chosen != str(endpoint_id):
        return None
    style: str | None = webhook.get("style")
    return style
