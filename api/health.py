"""/health: is it alive, is it ready."""

from typing import Any

from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services
from api.errors import error_response
from api.schemas.health import AliveSchema, ReadySchema
from services.health import check_ready

blp = Blueprint("health", __name__, description="For probes")


@blp.route("/health")
class Health(MethodView):
    """The process."""

    @blp.response(200, AliveSchema)
    def get(self) -> dict[str, str]:
        """Say that the process answers. Asks nothing of anyone."""
        return {"status": "ok"}


@blp.route("/health/ready")
class Ready(MethodView):
    """The process and what it needs."""

    @blp.response(200, ReadySchema)
    @blp.fails("not_ready")
    def get(self) -> Any:
        """Say whether database, broker, storage and schema are there; 503 names what is not."""
        report = check_ready(current_services())
        if report.is_ready:
            return {"status": "ready", "checks": report.checks}
        failed = sorted(name for name, check in report.checks.items() if not check["ok"])
        return error_response(
            "not_ready", f"not ready: {', '.join(failed)}", {"checks": report.checks}
        )
