"""Tenants: those whose jobs nobody else may see."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from domain.errors import OptionInvalid, TenantTaken
from models import ApiKey, Tenant
from services.context import Services
from services.key_ring import is_active

TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class TenantView:
    """A tenant, and how many of his keys are good."""

    name: str
    created_at: datetime
    active_keys: int


def make_tenant(services: Services, name: str) -> TenantView:
    """Make room for somebody new. Raises OptionInvalid, TenantTaken."""
    if not TENANT_NAME.fullmatch(name):
        raise OptionInvalid(
            "a tenant's name is 1 to 63 small letters, digits or any of . _ -, a letter or digit "
            "first",
            option="name",
        )
    statement = insert(Tenant).values(name=name).on_conflict_do_nothing().returning(Tenant)
    with services.open_session() as session:
        row = session.scalars(statement).one_or_none()
        if row is None:
            raise TenantTaken(f"there is a tenant {name} already", tenant=name)
        return TenantView(row.name, row.created_at, 0)


def list_tenants(services: Services) -> list[TenantView]:
    """Every tenant, by name."""
    count = select(func.count()).where(ApiKey.tenant == Tenant.name, is_active())
    query = select(Tenant.name, Tenant.created_at, count.scalar_subquery()).order_by(Tenant.name)
    with services.open_session() as session:
        return [TenantView(*row) for row in session.execute(query)]
