"""Who asks, and what he may: keys carry scopes, and every job belongs to a tenant."""

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

DEFAULT_TENANT = "default"

Scope = Literal["submit", "read", "admin", "realtime"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class Principal:
    """Who stands behind a request."""

    tenant: str
    scopes: frozenset[str]
    actor: str  # for the audit log: key:ID, admin, anonymous
    key_id: UUID | None = None  # None: the key of the settings, or nobody was asked for one

    def may(self, scope: Scope) -> bool:
        """Whether a scope is among his, or he is an operator."""
        return scope in self.scopes or "admin" in self.scopes
