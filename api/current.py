"""The collaborators of the running application."""

from typing import cast

from flask import current_app

from services.context import Services

EXTENSION = "scriptorium"


def current_services() -> Services:
    """The services that create_app was given or built."""
    return cast("Services", current_app.extensions[EXTENSION])
