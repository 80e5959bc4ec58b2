"""API keys: made, listed, rotated, revoked. Only their hashes are kept."""

import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_, update
from sqlalchemy.orm import Session

from domain.access import DEFAULT_TENANT, EVERYDAY_SCOPES, SCOPES
from domain.errors import ApiKeyInactive, ApiKeyNotFound, OptionInvalid, TenantNotFound
from domain.ids import new_id
from models import ApiKey, Tenant
from services.context import Services
from services.job_lists import decode_cursor, encode_cursor
from services.key_ring import hash_secret, is_active
from services.tenants import TENANT_NAME

ALPHABET = string.ascii_letters + string.digits  # a double click marks the whole key
SECRET_CHARS = 43  # 256 bits
MAX_NAME_CHARS = 200
PREFIX_CHARS = 9  # `sk_` and six more
DEFAULT_OVERLAP = timedelta(hours=24)

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True)
class KeyView:
    """A key, as far as anybody can see it again."""

    id: UUID
    tenant: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    state: State
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None  # to the minute


@dataclass(frozen=True)
class NewKey:
    """What a new key may do, and for whom."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: Collection[str] = EVERYDAY_SCOPES
    expires_at: datetime | None = None


@dataclass(frozen=True)
class MadeKey:
    """A new key, with the secret that is shown this once, and the key that it takes over from."""

    view: KeyView
    key: str
    replaces: KeyView | None = None


@dataclass(frozen=True)
class KeyPage:
    """One page of keys, newest first, and the cursor of the next where there is one."""

    keys: list[KeyView]
    next_cursor: str | None
    has_more: bool


def make_key(services: Services, wanted: NewKey) -> MadeKey:
    """Make a key. Raises TenantNotFound; OptionInvalid for scopes or an end that cannot be."""
    _check(wanted)
    key, row = _new_row(wanted)
    with services.open_session() as session:
        if session.get(Tenant, wanted.tenant) is None:
            raise TenantNotFound(f"there is no tenant {wanted.tenant}", tenant=wanted.tenant)
        session.add(row)
        session.flush()
        return MadeKey(_view(row), key)


def list_keys(
    services: Services,
    *,
    tenant: str | None = None,
    state: State | None = None,
    cursor: str | None = None,
    limit: int = 25,
) -> KeyPage:
    """One page of keys. Raises CursorInvalid."""
    query = _in_state(select(ApiKey), state)
    if tenant:
        query = query.where(ApiKey.tenant == tenant)
    if cursor:
        query = query.where(tuple_(ApiKey.created_at, ApiKey.id) < tuple_(*decode_cursor(cursor)))
    query = query.order_by(ApiKey.created_at.desc(), ApiKey.id.desc()).limit(limit + 1)
    with services.open_session() as session:
        rows = session.scalars(query).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return KeyPage(
        keys=[_view(row) for row in rows[:limit]],
        next_cursor=encode_cursor(last.created_at, last.id) if last else None,
        has_more=last is not None,
    )


def get_key(services: Services, key_id: UUID) -> KeyView:
    """One key. Raises ApiKeyNotFound."""
    with services.open_session() as session:
        return _view(_find(session, key_id))


def revoke_key(services: Services, key_id: UUID) -> KeyView:
    """End a key for good; a second time changes nothing. Raises ApiKeyNotFound.

    Other processes may remember it as good for `key_ring.REMEMBER_S`.
    """
    with services.open_session() as session:
        session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        return _view(_find(session, key_id))


def rotate_key(
    services: Services,
    key_id: UUID,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    expires_at: datetime | None = None,
) -> MadeKey:
    """Make a new key that may do the same; the old one stays good for `overlap`.

    The new one ends when the old one would have ended, or at `expires_at`. Raises ApiKeyNotFound,
    ApiKeyInactive for one that has ended already.
    """
    ends_at = datetime.now(UTC) + overlap
    with services.open_session() as session:
        before = _find(session, key_id)
        until = expires_at or before.expires_at
        changed = session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id, is_active())
            .values(expires_at=func.least(func.coalesce(ApiKey.expires_at, ends_at), ends_at))
            .returning(ApiKey.id)
        ).one_or_none()
        if changed is None:
            raise ApiKeyInactive(
                "the key is revoked or expired: make a new one", key_id=str(key_id)
            )
        wanted = NewKey(before.name, before.tenant, before.scopes, until)
        _check(wanted)
        key, row = _new_row(wanted)
        session.add(row)
        session.flush()
        session.refresh(before)
        return MadeKey(_view(row), key, replaces=_view(before))


def _check(wanted: NewKey) -> None:
    if not TENANT_NAME.fullmatch(wanted.tenant):
        raise TenantNotFound("no tenant can have this name")
    if not wanted.name.isprintable() or not 0 < len(wanted.name) <= MAX_NAME_CHARS:
        raise OptionInvalid(
            f"a name is one line of 1 to {MAX_NAME_CHARS} letters that can be printed",
            option="name",
        )
    unknown = sorted(set(wanted.scopes) - set(SCOPES))
    if unknown or not wanted.scopes:
        raise OptionInvalid(
            f"unknown scope {unknown[0]}" if unknown else "a key needs a scope",
            option="scopes",
            allowed=list(SCOPES),
        )
    if wanted.expires_at is not None and wanted.expires_at <= datetime.now(UTC):
        raise OptionInvalid("the key would have ended already", option="expires_at")


def _new_row(wanted: NewKey) -> tuple[str, ApiKey]:
    key = "sk_" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_CHARS))
    return key, ApiKey(
        id=new_id(),
        tenant=wanted.tenant,
        name=wanted.name,
        prefix=key[:PREFIX_CHARS],
        key_hash=hash_secret(key),
        scopes=[scope for scope in SCOPES if scope in wanted.scopes],
        expires_at=wanted.expires_at,
        created_at=datetime.now(UTC),
    )


def _find(session: Session, key_id: UUID) -> ApiKey:
    row = session.get(ApiKey, key_id)
    if row is None:
        raise ApiKeyNotFound("there is no key with this id")
    return row


def _in_state(query: Select[ApiKey], state: State | None) -> Select[ApiKey]:
    match state:
        case "active":
            return query.where(is_active())
        case "revoked":
            return query.where(ApiKey.revoked_at.is_not(None))
        case "expired":
            return query.where(ApiKey.revoked_at.is_(None), ApiKey.expires_at <= func.now())
        case _:
            return query


def _state_of(row: ApiKey) -> State:
    if row.revoked_at is not None:
        return "revoked"
    is_over = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return "expired" if is_over else "active"


def _view(row: ApiKey) -> KeyView:
    return KeyView(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(row.scopes),
        state=_state_of(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
