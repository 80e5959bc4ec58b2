"""/admin/keys and /admin/tenants: who may come in."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask.views import MethodView

from api.auth import current_key_ring
from api.blueprint import Blueprint
from api.current import current_services
from api.schemas.base import NoQuerySchema
from api.schemas.keys import (
    KeyListQuerySchema,
    KeyListSchema,
    KeyRotationSchema,
    KeySchema,
    MadeKeySchema,
    NewKeySchema,
    NewTenantSchema,
    TenantListSchema,
    TenantSchema,
)
from domain.errors import ApiKeyNotFound
from services.api_keys import (
    KeyPage,
    KeyView,
    MadeKey,
    NewKey,
    get_key,
    list_keys,
    make_key,
    revoke_key,
    rotate_key,
)
from services.tenants import TenantView, list_tenants, make_tenant

blp = Blueprint("keys", __name__, url_prefix="/admin", description="Who may come in")

BODY_CODES = ("request_invalid", "media_type_unsupported", "validation_error", "option_invalid")


@blp.route("/keys")
class Keys(MethodView):
    """The keys."""

    @blp.arguments(KeyListQuerySchema, location="query")
    @blp.response(200, KeyListSchema)
    @blp.fails("validation_error", "option_invalid", "cursor_invalid")
    def get(self, query: dict[str, Any]) -> KeyPage:
        """List keys, newest first. Their secrets are nowhere: only hashes are kept."""
        return list_keys(current_services(), **query)

    @blp.arguments(NewKeySchema, location="json")
    @blp.response(201, MadeKeySchema)
    @blp.fails(*BODY_CODES, "tenant_not_found")
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a key. This answer is the only one that shows it."""
        return shown(make_key(current_services(), NewKey(**body)))


@blp.route("/keys/<string:key_id>")
class Key(MethodView):
    """One key."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, KeySchema)
    @blp.fails("api_key_not_found", "option_invalid")
    def get(self, _query: dict[str, Any], key_id: str) -> KeyView:
        """Show what a key may do, when it ends, and when it was used last."""
        return get_key(current_services(), parse_key_id(key_id))

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, KeySchema)
    @blp.fails("api_key_not_found", "option_invalid")
    def delete(self, _query: dict[str, Any], key_id: str) -> KeyView:
        """Revoke a key: within 5 seconds it opens nothing any more."""
        revoked = revoke_key(current_services(), parse_key_id(key_id))
        current_key_ring().forget()
        return revoked


@blp.route("/keys/<string:key_id>/rotate")
class KeyRotation(MethodView):
    """One key, to be replaced."""

    @blp.arguments(KeyRotationSchema, location="json", required=False)
    @blp.response(201, MadeKeySchema)
    @blp.fails(*BODY_CODES, "api_key_not_found", "api_key_inactive")
    def post(self, body: dict[str, Any], key_id: str) -> dict[str, Any]:
        """Make a new key that may do the same; the old one stays good for a while."""
        made = rotate_key(
            current_services(),
            parse_key_id(key_id),
            overlap=timedelta(hours=body["overlap_hours"]),
            expires_at=body["expires_at"],
        )
        current_key_ring().forget()
        return shown(made)


@blp.route("/tenants")
class Tenants(MethodView):
    """The tenants."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, TenantListSchema)
    @blp.fails("option_invalid")
    def get(self, _query: dict[str, Any]) -> dict[str, Any]:
        """List tenants by name, with the number of their good keys."""
        return {"tenants": list_tenants(current_services())}

    @blp.arguments(NewTenantSchema, location="json")
    @blp.response(201, TenantSchema)
    @blp.fails(*BODY_CODES, "tenant_taken")
    def post(self, body: dict[str, Any]) -> TenantView:
        """Make a tenant: a name that jobs and keys belong to."""
        return make_tenant(current_services(), body["name"])


def shown(made: MadeKey) -> dict[str, Any]:
    """A new key as the one answer that holds it."""
    return {**vars(made.view), "key": made.key, "replaces": made.replaces}


def parse_key_id(value: str) -> UUID:
    """The id in an address. Raises ApiKeyNotFound for what is no UUID: no key can have it."""
    try:
        return UUID(value)
    except ValueError as error:
        raise ApiKeyNotFound("there is no key with this id") from error
