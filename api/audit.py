"""An audit entry for every request that changed something, and the list of them."""

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request
from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_principal, current_services
from api.schemas.audit import AuditListSchema, AuditQuerySchema
from domain.errors import DatabaseUnavailable
from services.audit import list_entries, record_action
from services.log_context import current_request_id

logger = logging.getLogger(__name__)

blp = Blueprint("audit", __name__, url_prefix="/admin", description="Who did what")

READING = frozenset({"GET", "HEAD", "OPTIONS"})
JOB_HEADER = "X-Job-ID"
IDS = ("job_id", "id", "transcription_id", "request_id", "batch_id")  # as answers name them
MAX_TARGET_CHARS = 200


def install_audit(app: Flask) -> None:
    """Write an entry after every request that changed something."""
    app.after_request(audit_request)


def leave_out_of_audit() -> None:
    """Write no entry of this request: it is one of many parts of what another entry tells."""
    g.is_audited = False


def audit_request(response: Response) -> Response:
    """Write down who did what to which job or key, once it is done."""
    rule = request.url_rule
    if (
        request.method in READING
        or rule is None
        or response.status_code >= HTTPStatus.BAD_REQUEST
        or "principal" not in g
        or not g.get("is_audited", True)
    ):
        return response
    try:
        record_action(
            current_services(),
            current_principal(),
            f"{request.method} {rule.rule}",
            target_of(response),
            {"status": response.status_code, "request_id": current_request_id(), **made(response)},
        )
    except DatabaseUnavailable:
        # What was done is done: refusing the answer now would only hide it from the client.
        logger.exception("audit_not_written", extra={"route": rule.rule})
    return response


def target_of(response: Response) -> str:
    """The id of what was changed: as the address names it, else as the answer does."""
    named = next(iter((request.view_args or {}).values()), None)
    made_at = (response.location or "").rpartition("/")[2]
    found = named or response.headers.get(JOB_HEADER) or _id_in(response) or made_at
    return str(found or "")[:MAX_TARGET_CHARS]


def made(response: Response) -> dict[str, str]:
    """The job that came of a request whose address names something else: an upload, say."""
    job_id = response.headers.get(JOB_HEADER)
    return {"job_id": job_id} if job_id and job_id != target_of(response) else {}


def _id_in(response: Response) -> Any:
    body = response.get_json(silent=True) if response.is_json else None
    if not isinstance(body, dict):
        return None
    return next((body[name] for name in IDS if body.get(name)), None)


@blp.route("/audit")
class AuditLog(MethodView):
    """The audit log."""

    @blp.arguments(AuditQuerySchema, location="query")
    @blp.response(200, AuditListSchema)
    @blp.fails("validation_error", "option_invalid", "database_unavailable")
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List who did what, newest first. `python -m scripts.audit verify` checks the chain."""
        entries, next_before = list_entries(current_services(), **query)
        return {"entries": entries, "next_before_id": next_before}
