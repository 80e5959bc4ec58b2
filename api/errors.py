"""Every failure in one shape: {code, message, details, request_id}."""

import logging
import re
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from werkzeug.exceptions import HTTPException

from api.schemas.errors import ErrorSchema
from domain.errors import ScriptoriumError
from services.log_context import current_request_id

logger = logging.getLogger(__name__)

# The one table of codes. A code of domain/errors.py that is not here is a failing test.
STATUS_OF_CODE = {
    "internal_error": 500,
    "configuration_error": 500,
    "request_invalid": 400,
    "upload_interrupted": 400,
    "api_key_invalid": 401,
    "scope_missing": 403,
    "job_not_found": 404,
    "upload_not_found": 404,
    "batch_not_found": 404,
    "model_not_found": 404,
    "error_log_not_found": 404,
    "webhook_not_found": 404,
    "delivery_not_found": 404,
    "api_key_not_found": 404,
    "tenant_not_found": 404,
    "tenant_taken": 409,
    "api_key_inactive": 409,
    "job_state_conflict": 409,
    "result_not_ready": 409,
    "idempotency_conflict": 409,
    "too_many_webhooks": 409,
    "job_cancelled": 409,
    "audio_gone": 410,
    "upload_offset_mismatch": 409,
    "tus_version_unsupported": 412,
    "upload_locked": 423,
    "too_many_uploads": 429,
    "upload_checksum_mismatch": 460,  # of the tus protocol
    "upload_too_large": 413,
    "validation_error": 422,
    "option_invalid": 422,
    "cursor_invalid": 422,
    "file_missing": 422,
    "source_url_refused": 422,
    "source_unavailable": 422,
    "webhook_url_refused": 422,
    "audio_invalid": 422,
    "audio_unreadable": 422,
    "audio_stream_missing": 422,
    "audio_empty": 422,
    "audio_too_long": 422,
    "audio_decode_timeout": 503,
    "not_ready": 503,
    "rate_limited": 429,
    "too_many_jobs": 429,
    "quota_exceeded": 429,
    "too_many_streams": 503,
    "server_busy": 503,
    "storage_error": 503,
    "database_unavailable": 503,
    "broker_unavailable": 503,
    "worker_lost": 503,
    "storage_full": 507,
    "database_full": 507,
    "engine_error": 500,
    "model_unavailable": 500,
    "model_pool_exhausted": 503,
    "model_host_lost": 503,
    "out_of_memory": 500,
    "decode_stalled": 503,
    "time_limit_exceeded": 503,
    "job_timed_out": 504,
    # What gunicorn refuses: api/refused_heads.py.
    "address_too_long": 414,
    "expectation_unsupported": 417,
    "headers_too_large": 431,
    "transfer_coding_unsupported": 501,
}

# What Flask and Werkzeug raise on their own.
CODE_OF_STATUS = {
    400: "request_invalid",
    404: "route_not_found",
    405: "method_not_allowed",
    406: "format_not_acceptable",
    411: "length_required",
    413: "upload_too_large",
    415: "media_type_unsupported",
    416: "range_not_satisfiable",
    422: "validation_error",
}

STATUS_OF_CODE |= {
    code: status for status, code in CODE_OF_STATUS.items() if code not in STATUS_OF_CODE
}

# The server protects itself: nothing failed, and under load there are many of these.
AS_PLANNED = frozenset({"server_busy", "too_many_streams"})
RETRY_AFTER_S = 5  # an outage of the database or the disk is seldom shorter
CRASHED = "something broke here; the log has it under this request id"
HEADERS_TO_KEEP = ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate")


def error_body(code: str, message: str, details: object = None) -> dict[str, Any]:
    """What a failure looks like, with the request id of now."""
    body: dict[str, Any] = ErrorSchema().dump(
        {
            "code": code,
            "message": message,
            "details": details or {},
            "request_id": current_request_id(),
        }
    )
    return body


def error_response(
    code: str, message: str, details: object = None, status: int | None = None
) -> Response:
    """The answer for one failure, with the status that belongs to its code."""
    response = jsonify(error_body(code, message, details))
    response.status_code = status or STATUS_OF_CODE.get(code, 500)
    if response.status_code in (429, 503, 507):
        response.headers["Retry-After"] = str(_retry_after_s(details))
    return response


def handle_own_error(error: ScriptoriumError) -> Response:
    """Answer an error that this program raised on purpose."""
    status = STATUS_OF_CODE.get(error.code, 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        # Its message is for the operator: it may speak of settings or weights.
        return handle_unexpected_error(error)
    if error.code in AS_PLANNED:
        logger.warning("request_put_off", extra={"code": error.code})
    elif status > HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request_failed", extra={"code": error.code}, exc_info=error)
    response = error_response(error.code, error.message, dict(error.details))
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="scriptorium"'
    return response


def handle_http_error(error: HTTPException) -> Response:
    """Answer what Flask, Werkzeug or the argument parser refused."""
    status = error.code or 500
    code = CODE_OF_STATUS.get(status) or _snake(error.name)
    messages = getattr(error, "data", {}).get("messages")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and messages:
        response = error_response(code, _summary(messages), _by_field(messages), status)
    elif messages:
        response = error_response(code, "the body is not valid JSON", None, status)
    else:
        response = error_response(code, _sentence(error, status), None, status)
    for name, value in error.get_headers():
        if name in HEADERS_TO_KEEP:
            response.headers[name] = value
    return response


def handle_unexpected_error(error: Exception) -> Response:
    """Answer a bug of ours: the log gets the stack, the client the request id."""
    logger.error("request_crashed", extra={"code": "internal_error"}, exc_info=error)
    return error_response("internal_error", CRASHED)


def _retry_after_s(details: object) -> int:
    computed = details.get("retry_after_s") if isinstance(details, dict) else None
    return computed if isinstance(computed, int) else RETRY_AFTER_S


def _sentence(error: HTTPException, status: int) -> str:
    # Only what this program wrote itself is repeated: a library's text may quote the request.
    own = error.description if status in (406, 411, 415) else None
    return own or _snake(error.name).replace("_", " ")


def _snake(name: str) -> str:
    return re.sub(r"[^a-z]+", "_", name.lower()).strip("_")


def _by_field(messages: dict[str, Any]) -> dict[str, Any]:
    # The parser groups by place (query, json); a field's name says enough.
    fields: dict[str, Any] = {}
    for found in messages.values():
        fields |= found if isinstance(found, dict) else {"body": found}
    return fields


def _summary(messages: dict[str, Any]) -> str:
    return "not valid: " + ", ".join(sorted(map(str, _by_field(messages))))
