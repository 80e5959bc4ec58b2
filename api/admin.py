"""/admin: how the installation fares, and the dead letters."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView

from api.admin_key import ADMIN_ONLY, require_admin_key
from api.blueprint import Blueprint
from api.current import current_services
from api.schemas.base import NoQuerySchema
from api.schemas.dead_letters import (
    MAX_ID,
    DeadLetterSchema,
    ErrorListQuerySchema,
    ErrorListSchema,
    NoteSchema,
    OutcomesSchema,
    ResolveSelectionSchema,
    SelectionSchema,
)
from api.schemas.health import AdminHealthSchema
from domain.errors import ErrorLogNotFound
from services.dead_letters import (
    ErrorPage,
    ErrorView,
    get_error,
    list_errors,
    resolve_error,
    resolve_errors,
    retry_error,
    retry_errors,
)
from services.health import admin_health

blp = Blueprint("admin", __name__, url_prefix="/admin", description="For the operator")
# Before anything else of the request is looked at, its body included.
blp.before_request(require_admin_key)

admin_only = blp.doc(security=ADMIN_ONLY)

BULK_CODES = (
    "request_invalid",
    "media_type_unsupported",
    "admin_key_invalid",
    "validation_error",
    "option_invalid",
    "database_unavailable",
)


@blp.route("/health")
class AdminHealth(MethodView):
    """The installation."""

    @admin_only
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, AdminHealthSchema)
    @blp.fails("admin_key_invalid", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any]) -> Response:
        """Show database, queues, workers, their model pools and the errors of the last hour."""
        # As it is: dumping by the schema would drop what it does not name.
        return jsonify(admin_health(current_services()))


@blp.route("/errors")
class Errors(MethodView):
    """The dead letters."""

    @admin_only
    @blp.arguments(ErrorListQuerySchema, location="query")
    @blp.response(200, ErrorListSchema)
    @blp.fails(
        "admin_key_invalid",
        "validation_error",
        "option_invalid",
        "cursor_invalid",
        "database_unavailable",
    )
    def get(self, query: dict[str, Any]) -> ErrorPage:
        """List dead letters, newest first."""
        return list_errors(current_services(), error_type=query.pop("type", None), **query)


@blp.route("/errors/<string:error_id>")
class Error(MethodView):
    """One dead letter."""

    @admin_only
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, DeadLetterSchema)
    @blp.fails("admin_key_invalid", "error_log_not_found", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any], error_id: str) -> ErrorView:
        """Show one dead letter: class, message, stack, options, attempts, worker, memory."""
        return get_error(current_services(), parse_error_id(error_id))


@blp.route("/errors/<string:error_id>/retry")
class ErrorRetry(MethodView):
    """One dead letter, to be tried again."""

    @admin_only
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, DeadLetterSchema)
    @blp.fails(
        "admin_key_invalid",
        "error_log_not_found",
        "job_state_conflict",
        "option_invalid",
        "database_unavailable",
    )
    def post(self, _query: dict[str, Any], error_id: str) -> ErrorView:
        """Put the job back on its queue, with all its attempts before it again."""
        return retry_error(current_services(), parse_error_id(error_id))


@blp.route("/errors/<string:error_id>/resolve")
class ErrorResolve(MethodView):
    """One dead letter, to be settled."""

    @admin_only
    @blp.arguments(NoteSchema, location="json", required=False)
    @blp.response(200, DeadLetterSchema)
    @blp.fails(
        "request_invalid",
        "media_type_unsupported",
        "admin_key_invalid",
        "error_log_not_found",
        "validation_error",
        "option_invalid",
        "database_unavailable",
    )
    def post(self, body: dict[str, Any], error_id: str) -> ErrorView:
        """Mark as dealt with; the job stays failed."""
        return resolve_error(current_services(), parse_error_id(error_id), body.get("note"))


@blp.route("/errors/retry")
class ErrorsRetry(MethodView):
    """Many dead letters, to be tried again."""

    @admin_only
    @blp.arguments(SelectionSchema, location="json")
    @blp.response(200, OutcomesSchema)
    @blp.fails(*BULK_CODES)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Put the jobs of these dead letters back on their queues; one answer for each."""
        outcomes = retry_errors(current_services(), body.get("ids"), error_type=body.get("type"))
        return {"outcomes": outcomes}


@blp.route("/errors/resolve")
class ErrorsResolve(MethodView):
    """Many dead letters, to be settled."""

    @admin_only
    @blp.arguments(ResolveSelectionSchema, location="json")
    @blp.response(200, OutcomesSchema)
    @blp.fails(*BULK_CODES)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Mark these dead letters as dealt with; one answer for each."""
        outcomes = resolve_errors(
            current_services(), body.get("ids"), error_type=body.get("type"), note=body.get("note")
        )
        return {"outcomes": outcomes}


def parse_error_id(value: str) -> int:
    """The id in an address. Raises ErrorLogNotFound for what cannot be one."""
    # The length first: Python refuses to read thousands of digits.
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_ID))
    if not is_number or int(value) > MAX_ID:
        raise ErrorLogNotFound("there is no dead letter with this id")
    return int(value)
