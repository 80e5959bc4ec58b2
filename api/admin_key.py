"""Who may enter /admin."""

import hmac

from flask import request

from api.current import current_services
from domain.errors import AdminKeyInvalid

SECURITY_SCHEMES = {
    "AdminKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "AdminBearer": {"type": "http", "scheme": "bearer"},
}
ADMIN_ONLY: list[dict[str, list[str]]] = [{"AdminKey": []}, {"AdminBearer": []}]


def require_admin_key() -> None:
    """Raise AdminKeyInvalid unless the request carries ADMIN_API_KEY. Reads no body."""
    expected = current_services().settings.admin_api_key
    given = request.headers.get("X-API-Key") or _bearer(request.headers.get("Authorization", ""))
    # An empty key in the settings must not match an empty header.
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise AdminKeyInvalid("send the admin key as X-API-Key or as a bearer token")


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
