"""Who asks."""

from flask import g

from domain.access import DEFAULT_TENANT, Principal

ANYBODY = Principal(DEFAULT_TENANT, frozenset({"submit", "read"}), "anonymous")


def authenticate() -> None:
    """Name the principal of this request, before anything of its body is read."""
    g.principal = ANYBODY
