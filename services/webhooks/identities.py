"""A tenant's own secret, which signs what goes to the addresses that jobs bring along.

It is a row among the tenant's endpoints that has no address, so that it is kept and rotated as
theirs are. Its id follows from the tenant's name: two that make it at once make the same.
"""

from collections.abc import Collection
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import WebhookEndpoint
from services.webhooks.signing import new_secret

NO_ADDRESS = ""


def identity_id(tenant: str) -> UUID:
    """The id of the row that holds a tenant's own secret."""
    return uuid5(NAMESPACE_URL, f"scriptorium:webhook-identity:{tenant}")


def ensure_identities(session: Session, tenants: Collection[str]) -> None:
    """Give each of these tenants a secret, if it has none."""
    if not tenants:
        return
    rows = [
        {
            "id": identity_id(tenant),
            "tenant": tenant,
            "url": NO_ADDRESS,
            "events": [],
            "secret": new_secret(),
        }
        for tenant in sorted(tenants)
    ]
    session.execute(insert(WebhookEndpoint).values(rows).on_conflict_do_nothing())
