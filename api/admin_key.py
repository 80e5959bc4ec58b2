"""What routes under /admin once asked for by themselves; `api/auth.py` asks for it now."""

from api.security import SECURITY

ADMIN_ONLY = SECURITY


def require_admin_key() -> None:
    """Nothing is left to do: no request under /admin comes so far without the scope."""
