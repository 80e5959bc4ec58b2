"""Who asks, and whether he may: before anything of the body is read."""

import hmac
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import current_app, g, request

from api.credentials import given_key, given_token
from api.current import KEY_RING, current_services
from api.scopes import Needed, needed_beside, needed_scope
from domain.access import ANYBODY, NOBODY, OPERATOR, Principal
from domain.errors import ApiKeyInvalid, RequestError, ScopeMissing
from domain.exposure import is_loopback
from services.context import Services
from services.key_ring import KeyRing, hash_secret
from services.single_use_tokens import redeem_token


def authenticate() -> None:
    """Name the principal of this request.

    Raises ApiKeyInvalid without a good key, ScopeMissing where it may not, RequestError for two
    keys at once, DatabaseUnavailable when a key cannot be looked up.
    """
    g.principal = NOBODY
    scope = needed_scope(request)
    if scope is None:
        return
    services = current_services()
    if services.settings.auth == "off" and scope != "admin":
        require_own_name(services.settings.allowed_origins)
        g.principal = ANYBODY
    else:
        g.principal = identify(services)
    require_scopes(g.principal, scope)


def require_scopes(principal: Principal, scope: Needed) -> None:
    """Raise ScopeMissing unless the principal has what this request needs."""
    beside = needed_beside(request)
    wanted = beside if scope == "any" else beside | {scope}
    for each in sorted(wanted):
        if not principal.may(each):
            raise ScopeMissing(f"this key lacks the scope {each}", scope=each)
    if beside and principal.is_single_use:
        raise ScopeMissing("a single-use token may not do this: send a key")


def identify(services: Services) -> Principal:
    """Who holds the key or the token of this request. Raises as `authenticate`."""
    key, token = given_key(request), given_token(request)
    if key and token:
        raise RequestError("a key and a token: send one")
    if token:
        found = redeem_token(services, token)
    elif key and is_same(key, services.settings.admin_api_key):
        found = OPERATOR
    else:
        found = current_key_ring().find(services, key) if key else None
    if found is None:
        raise ApiKeyInvalid
    return found


def is_same(given: str, expected: str) -> bool:
    """Compare secrets in a time that tells neither where they differ nor how long they are."""
    # An empty key in the settings must not match anything.
    return bool(expected) and hmac.compare_digest(hash_secret(given), hash_secret(expected))


def require_own_name(allowed_origins: Collection[str]) -> None:
    """Refuse what a web page from elsewhere makes the browser of this machine ask for.

    Without keys, being on this machine is all that lets a request in, and so is a browser: a
    page may give its own name this machine's address, or send a form to it.
    """
    names = [urlsplit(f"//{request.host}").hostname or ""]
    origin = request.headers.get("Origin")
    if origin is not None and origin not in allowed_origins:
        names.append(urlsplit(origin).hostname or "")
    if not all(map(is_loopback, names)):
        raise ApiKeyInvalid("AUTH=off: only for this machine, under the name localhost")


def current_key_ring() -> KeyRing:
    """The keys that this process remembers."""
    ring: KeyRing = current_app.extensions[KEY_RING]
    return ring
