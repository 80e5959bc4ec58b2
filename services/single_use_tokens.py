"""Tokens that are good for one request, for browsers, which must not hold a key.

The reconciler removes them once they have ended (services/retention.py).
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select, update

from domain.access import Principal
from domain.errors import ScopeMissing
from models import ApiKey, SingleUseToken
from services.context import Services
from services.key_ring import hash_secret, is_active

TOKEN_PREFIX = "st_"  # noqa: S105 - what tells tokens from keys
TOKEN_BYTES = 32
MAX_TTL_S = 900


@dataclass(frozen=True)
class IssuedToken:
    """A new token, which nobody can show a second time, and when it ends unused."""

    token: str
    expires_at: datetime
    scopes: tuple[str, ...]


def issue_token(
    services: Services, principal: Principal, scopes: Collection[str], *, ttl_s: int
) -> IssuedToken:
    """Make a token that may do a part of what its maker may. Raises ScopeMissing for more.

    A token makes no further tokens: it would last for ever.
    """
    beyond = sorted(scope for scope in scopes if not principal.may(scope))  # type: ignore[arg-type]
    if beyond:
        raise ScopeMissing(f"this key lacks the scope {beyond[0]}", scope=beyond[0])
    if principal.is_single_use:
        raise ScopeMissing("a single-use token makes no tokens; send a key")
    scopes = tuple(dict.fromkeys(scopes))
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    issued = IssuedToken(token, datetime.now(UTC) + timedelta(seconds=ttl_s), scopes)
    row = SingleUseToken(
        token_hash=hash_secret(token),
        tenant=principal.tenant,
        key_id=principal.key_id,
        scopes=list(scopes),
        expires_at=issued.expires_at,
    )
    with services.open_statement() as session:
        session.add(row)
    return issued


def redeem_token(services: Services, token: str) -> Principal | None:
    """Who made this token; None when it is wrong, used or expired, or its key is no longer good.

    One guarded statement: of two requests with the same token one gets in.
    """
    is_key_good = select(ApiKey.id).where(ApiKey.id == SingleUseToken.key_id, is_active())
    redeem = (
        update(SingleUseToken)
        .where(
            SingleUseToken.token_hash == hash_secret(token),
            SingleUseToken.used_at.is_(None),
            SingleUseToken.expires_at > func.now(),
            or_(SingleUseToken.key_id.is_(None), is_key_good.exists()),
        )
        .values(used_at=func.now())
        .returning(SingleUseToken.tenant, SingleUseToken.key_id, SingleUseToken.scopes)
    )
    with services.open_statement() as session:
        row = session.execute(redeem).one_or_none()
    if row is None:
        return None
    actor = f"key:{row.key_id}" if row.key_id else "token"
    return Principal(row.tenant, frozenset(row.scopes), actor, row.key_id, is_single_use=True)
