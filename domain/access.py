"""Who asks, and what he may: keys carry scopes, and every job belongs to a tenant."""

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

DEFAULT_TENANT = "default"

Scope = Literal["submit", "read", "admin", "realtime"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# What a key gets that names no scopes, and everybody where nobody is asked for a key.
EVERYDAY_SCOPES: tuple[Scope, ...] = ("submit", "read", "realtime")


@dataclass(frozen=True)
class Principal:
    """Who stands behind a request."""

    tenant: str
    scopes: frozenset[str]
    actor: str  # for the audit log: key:ID, admin, anonymous
    key_id: UUID | None = None  # None: the key of the settings, or nobody was asked for one
    is_single_use: bool = False  # came with a token, which is good for this one request

    def may(self, scope: Scope) -> bool:
        """Whether a scope is among his, or he is an operator."""
        return scope in self.scopes or "admin" in self.scopes


ANYBODY = Principal(DEFAULT_TENANT, frozenset(EVERYDAY_SCOPES), "anonymous")
OPERATOR = Principal(DEFAULT_TENANT, frozenset(SCOPES), "admin")  # holds ADMIN_API_KEY
NOBODY = Principal(DEFAULT_TENANT, frozenset(), "nobody")  # asks for what is open to all
