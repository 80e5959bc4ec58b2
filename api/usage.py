"""Who used how much, by day."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services, current_tenant
from api.schemas.usage import AdminUsageQuerySchema, UsageByDaySchema, UsageQuerySchema
from services.usage import Usage as UsageOfDays
from services.usage import read_usage

blp = Blueprint("usage", __name__, description="Who used how much")

CODES = ("validation_error", "option_invalid", "database_unavailable")


@blp.route("/usage")
class Usage(MethodView):
    """What the caller's tenant used."""

    @blp.arguments(UsageQuerySchema, location="query")
    @blp.response(200, UsageByDaySchema)
    @blp.fails(*CODES)
    def get(self, query: dict[str, Any]) -> UsageOfDays:
        """Show jobs, seconds of audio and of compute, and bytes of each day."""
        return read_usage(current_services(), current_tenant(), query.get("from"), query.get("to"))


@blp.route("/admin/usage")
class AdminUsage(MethodView):
    """What all tenants used."""

    @blp.arguments(AdminUsageQuerySchema, location="query")
    @blp.response(200, UsageByDaySchema)
    @blp.fails(*CODES)
    def get(self, query: dict[str, Any]) -> UsageOfDays:
        """Show the usage of every tenant, or of one, by day."""
        return read_usage(
            current_services(), query.get("tenant"), query.get("from"), query.get("to")
        )
