"""/admin: how the installation and its store fare, and the dead letters."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_services
from api.schemas.base import NoQuerySchema
from api.schemas.dead_letters import (
    MAX_ID,
    ChangesSchema,
    DeadLetterSchema,
    ErrorListQuerySchema,
    ErrorListSchema,
    ExpireSelectionSchema,
    NoteSchema,
    OutcomesSchema,
    ResolveSelectionSchema,
    RetrySelectionSchema,
    changes_from,
    selection_from,
)
from api.schemas.health import AdminHealthSchema
from api.schemas.storage import StorageSchema
from domain.errors import ErrorLogNotFound
from services.dead_letter_views import ErrorFilter, ErrorPage, ErrorView, get_error, list_errors
from services.dead_letters import (
    expire_error,
    expire_errors,
    resolve_error,
    resolve_errors,
    retry_error,
    retry_errors,
)
from services.health import admin_health
from services.storage_report import StorageReport, storage_report

blp = Blueprint("admin", __name__, url_prefix="/admin", description="For the operator")
ACTION_CODES = (
    "request_invalid",
    "media_type_unsupported",
    "validation_error",
    "option_invalid",
    "database_unavailable",
)


@blp.route("/health")
class AdminHealth(MethodView):
    """The installation."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, AdminHealthSchema)
    @blp.fails("option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any]) -> Response:
        """Show database, queues, workers, their model pools and the errors of the last hour."""
        # As it is: dumping by the schema would drop what it does not name.
        return jsonify(admin_health(current_services()))


@blp.route("/storage")
class AdminStorage(MethodView):
    """The store of recordings."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, StorageSchema)
    @blp.fails("option_invalid", "database_unavailable", "storage_error")
    def get(self, _query: dict[str, Any]) -> StorageReport:
        """Show how full the store is, files that no job asks for and recordings that are lost."""
        return storage_report(current_services())


@blp.route("/errors")
class Errors(MethodView):
    """The dead letters."""

    @blp.arguments(ErrorListQuerySchema, location="query")
    @blp.response(200, ErrorListSchema)
    @blp.fails(
        "validation_error",
        "option_invalid",
        "cursor_invalid",
        "database_unavailable",
    )
    def get(self, query: dict[str, Any]) -> ErrorPage:
        """List dead letters, newest first."""
        cursor, limit = query.pop("cursor", None), query.pop("limit")
        return list_errors(current_services(), ErrorFilter(**query), cursor=cursor, limit=limit)


@blp.route("/errors/<string:error_id>")
class Error(MethodView):
    """One dead letter."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, DeadLetterSchema)
    @blp.fails("error_log_not_found", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any], error_id: str) -> ErrorView:
        """Show one dead letter: message, stack, options, attempts, and what a retry can use."""
        return get_error(current_services(), parse_error_id(error_id))


@blp.route("/errors/<string:error_id>/retry")
class ErrorRetry(MethodView):
    """One dead letter, to be tried again."""

    @blp.arguments(ChangesSchema, location="json", required=False)
    @blp.response(200, DeadLetterSchema)
    @blp.fails(
        *ACTION_CODES, "error_log_not_found", "job_state_conflict", "audio_gone", "storage_error"
    )
    def post(self, body: dict[str, Any], error_id: str) -> ErrorView:
        """Put the job back on its queue, with all its attempts before it again.

        What it had decoded is kept, unless options change: then it starts from the beginning.
        """
        return retry_error(current_services(), parse_error_id(error_id), changes_from(body))


@blp.route("/errors/<string:error_id>/resolve")
class ErrorResolve(MethodView):
    """One dead letter, to be settled."""

    @blp.arguments(NoteSchema, location="json", required=False)
    @blp.response(200, DeadLetterSchema)
    @blp.fails(*ACTION_CODES, "error_log_not_found")
    def post(self, body: dict[str, Any], error_id: str) -> ErrorView:
        """Mark as dealt with; the job stays failed."""
        return resolve_error(current_services(), parse_error_id(error_id), body.get("note"))


@blp.route("/errors/<string:error_id>/expire")
class ErrorExpire(MethodView):
    """One dead letter, to be given up for good."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, DeadLetterSchema)
    @blp.fails(
        "error_log_not_found",
        "job_state_conflict",
        "option_invalid",
        "database_unavailable",
        "storage_error",
    )
    def post(self, _query: dict[str, Any], error_id: str) -> ErrorView:
        """Remove the recording and what was decoded of it; the job stays failed, to be seen."""
        return expire_error(current_services(), parse_error_id(error_id))


@blp.route("/errors/retry")
class ErrorsRetry(MethodView):
    """Many dead letters, to be tried again."""

    @blp.arguments(RetrySelectionSchema, location="json")
    @blp.response(200, OutcomesSchema)
    @blp.fails(*ACTION_CODES)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Put the jobs of these dead letters back on their queues; one answer for each."""
        outcomes = retry_errors(current_services(), selection_from(body), changes_from(body))
        return {"outcomes": outcomes}


@blp.route("/errors/resolve")
class ErrorsResolve(MethodView):
    """Many dead letters, to be settled."""

    @blp.arguments(ResolveSelectionSchema, location="json")
    @blp.response(200, OutcomesSchema)
    @blp.fails(*ACTION_CODES)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Mark these dead letters as dealt with; one answer for each."""
        outcomes = resolve_errors(current_services(), selection_from(body), body.get("note"))
        return {"outcomes": outcomes}


@blp.route("/errors/expire")
class ErrorsExpire(MethodView):
    """Many dead letters, to be given up for good."""

    @blp.arguments(ExpireSelectionSchema, location="json")
    @blp.response(200, OutcomesSchema)
    @blp.fails(*ACTION_CODES)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Remove the recordings of these dead letters' jobs; one answer for each."""
        return {"outcomes": expire_errors(current_services(), selection_from(body))}


def parse_error_id(value: str) -> int:
    """The id in an address. Raises ErrorLogNotFound for what cannot be one."""
    # The length first: Python refuses to read thousands of digits.
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_ID))
    if not is_number or int(value) > MAX_ID:
        raise ErrorLogNotFound("there is no dead letter with this id")
    return int(value)
