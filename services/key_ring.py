"""Whose key is this: looked up by its hash, and remembered for a few seconds."""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update

from domain.access import Principal
from domain.errors import DatabaseUnavailable
from models import ApiKey
from services.context import Services

logger = logging.getLogger(__name__)

REMEMBER_S = 5.0  # so long a key may still work that was revoked through another process
# Without a database nobody can revoke a key either: requests may come as far as their own 503.
REMEMBER_IN_AN_OUTAGE_S = 600.0
MAX_REMEMBERED = 10_000
SHAPE = re.compile(r"sk_[A-Za-z0-9]{43}")
NOTE_USE_AFTER = text("interval '1 minute'")


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. Keys and tokens are random: nobody finds them by guessing."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_active() -> ColumnElement[bool]:
    """Whether a row of api_keys opens anything now: neither revoked nor expired."""
    is_in_time = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return and_(ApiKey.revoked_at.is_(None), is_in_time)


@dataclass(frozen=True)
class _Known:
    principal: Principal
    expires_at: datetime | None
    confirmed_at: float  # by the database; seconds of the ring's clock
    fresh_until: float

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class KeyRing:
    """The keys that this process saw lately. Only good ones are kept, by their hashes."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._now = now
        self._known: dict[str, _Known] = {}

    def find(self, services: Services, secret: str) -> Principal | None:
        """Who holds this key; None for a key that is wrong, revoked or expired.

        Raises DatabaseUnavailable for a key that was not seen lately.
        """
        if not SHAPE.fullmatch(secret):  # how keys look is no secret, and a query costs something
            return None
        key_hash = hash_secret(secret)
        known = self._known.get(key_hash)
        if known is None or self._clock() >= known.fresh_until:
            known = self._ask_again(services, key_hash, known)
        if known is None or known.is_expired(self._now()):
            return None
        return known.principal

    def forget(self) -> None:
        """Ask the database about every key again: one was revoked or rotated."""
        self._known.clear()

    def _ask_again(self, services: Services, key_hash: str, before: _Known | None) -> _Known | None:
        at = self._clock()
        try:
            found = _look_up(services, key_hash, at)
        except DatabaseUnavailable:
            if before is None or at - before.confirmed_at > REMEMBER_IN_AN_OUTAGE_S:
                raise
            # Not asked by every request: each would wait for the database twice.
            found = replace(before, fresh_until=at + REMEMBER_S)
        if found is None:
            self._known.pop(key_hash, None)
            return None
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key_hash] = found
        return found


def is_still_good(services: Services, key_id: UUID) -> bool:
    """Whether a key that opened something is neither revoked nor expired since.

    True also while the database is away: nobody can revoke a key then.
    """
    query = select(ApiKey.id).where(ApiKey.id == key_id, is_active())
    try:
        with services.open_statement() as session:
            return session.execute(query).one_or_none() is not None
    except DatabaseUnavailable:
        return True


def _look_up(services: Services, key_hash: str, at: float) -> _Known | None:
    is_due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - NOTE_USE_AFTER)
    query = select(
        ApiKey.id, ApiKey.tenant, ApiKey.scopes, ApiKey.expires_at, is_due.label("is_due")
    ).where(ApiKey.key_hash == key_hash, is_active())
    with services.open_statement() as session:
        row = session.execute(query).one_or_none()
    if row is None:
        return None
    if row.is_due:
        _note_use(services, row.id)
    principal = Principal(row.tenant, frozenset(row.scopes), f"key:{row.id}", row.id)
    return _Known(principal, row.expires_at, confirmed_at=at, fresh_until=at + REMEMBER_S)


def _note_use(services: Services, key_id: UUID) -> None:
    """Write down that a key is in use, once a minute at most, whatever process sees it."""
    is_due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - NOTE_USE_AFTER)
    change = update(ApiKey).where(ApiKey.id == key_id, is_due).values(last_used_at=func.now())
    try:
        with services.open_statement() as session:
            session.execute(change)
    except DatabaseUnavailable as error:  # a full disk lets nobody write, and may be read
        logger.warning("key_use_not_noted", extra={"key_id": str(key_id), "reason": str(error)})
