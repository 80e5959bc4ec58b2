"""/admin/tenants/{name}/limits: what a tenant may use, to be changed at run time."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services
from api.schemas.base import NoQuerySchema
from api.schemas.limits import OverridesSchema, TenantLimitsSchema
from services.tenant_limits import (
    change_overrides,
    default_limits,
    get_overrides,
    replace_overrides,
)

blp = Blueprint("tenant_limits", __name__, url_prefix="/admin", description="For the operator")

CHANGE_CODES = (
    "request_invalid",
    "tenant_not_found",
    "media_type_unsupported",
    "validation_error",
    "option_invalid",
    "database_unavailable",
)


@blp.route("/tenants/<string:name>/limits")
class TenantLimits(MethodView):
    """The limits of one tenant."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, TenantLimitsSchema)
    @blp.fails("tenant_not_found", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any], name: str) -> dict[str, Any]:
        """Show the limits that hold for a tenant."""
        return _shown(name, get_overrides(current_services(), name))

    @blp.arguments(OverridesSchema, location="json")
    @blp.response(200, TenantLimitsSchema)
    @blp.fails(*CHANGE_CODES)
    def put(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Set limits of a tenant; those that are not named are the settings' again.

        They hold at once in the process that answers, and within five seconds in the others.
        """
        return _shown(name, replace_overrides(current_services(), name, body))

    @blp.arguments(OverridesSchema, location="json")
    @blp.response(200, TenantLimitsSchema)
    @blp.fails(*CHANGE_CODES)
    def patch(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Change the limits that are named; null gives one back to the settings."""
        return _shown(name, change_overrides(current_services(), name, body))


def _shown(tenant: str, overrides: dict[str, Any]) -> dict[str, Any]:
    limits = default_limits(current_services().settings).changed(overrides)
    return {"tenant": tenant, "limits": limits, "overrides": overrides}
