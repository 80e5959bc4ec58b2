"""The collaborators of the running application."""

from typing import cast

from flask import current_app, g

from domain.access import Principal
from services.context import Services
from services.event_hub import EventHub

EXTENSION = "scriptorium"
EVENTS = "scriptorium.events"
KEY_RING = "scriptorium.keys"


def current_services() -> Services:
    """The services that create_app was given or built."""
    return cast("Services", current_app.extensions[EXTENSION])


def current_hub() -> EventHub:
    """The one hub of event streams of this process."""
    return cast("EventHub", current_app.extensions[EVENTS])


def current_principal() -> Principal:
    """Who asks. There is one in every request but those of `/health` and the documents."""
    return cast("Principal", g.principal)


def current_tenant() -> str:
    """Whose jobs this request may see."""
    return current_principal().tenant
