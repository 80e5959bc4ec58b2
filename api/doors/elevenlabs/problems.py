"""Failures in ElevenLabs' own shape.

A fault of the request's fields is 422 with a list of them; everything else is an object with a
status, which is stable, and a message.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response, jsonify

from api.doors.elevenlabs.values import NOT_SUPPORTED
from api.doors.problem import Problem
from services.log_context import current_request_id

# Theirs where they have one; any other code stands for itself.
STATUS_WORDS = {
    "api_key_invalid": "invalid_api_key",
    "scope_missing": "missing_permissions",
    "job_not_found": "transcription_not_found",
    "result_not_ready": "transcription_not_ready",
    "server_busy": "system_busy",
    "rate_limited": "rate_limit_exceeded",
    "too_many_jobs": "too_many_concurrent_requests",
    "quota_exceeded": "quota_exceeded",
    "internal_error": "internal_server_error",
}
# ElevenLabs answers a busy hour so, and its client waits as Retry-After says.
HTTP_STATUS_OF_CODE = {"server_busy": 429}
# What the checks of options call what this door calls otherwise.
NAMES = {"language": "language_code", "model_size": "model_id", "initial_prompt": "keyterms"}
OF_FIELDS = ("validation_error", "option_invalid", "file_missing")
PLACES = {
    "enable_logging": "query",
    "token_type": "path",
    "Idempotency-Key": "header",
    "X-Client-ID": "header",
    "X-Keep-Job": "header",
}


def render_problem(problem: Problem) -> Response:
    """The answer for one failure."""
    if problem.code in OF_FIELDS:
        body: dict[str, Any] = {"detail": _faults(problem)}
    else:
        body = {
            "detail": {
                "status": STATUS_WORDS.get(problem.code, problem.code),
                "message": problem.message,
                "request_id": current_request_id(),
            }
        }
        if problem.field:
            body["detail"]["param"] = NAMES.get(problem.field, problem.field)
        if job_id := problem.details.get("job_id"):  # it may go on, and can be asked for
            body["detail"]["transcription_id"] = str(job_id)
    response = jsonify(body)
    response.status_code = HTTP_STATUS_OF_CODE.get(problem.code, problem.status)
    response.headers.update(problem.headers)
    return response


def _faults(problem: Problem) -> list[dict[str, Any]]:
    if problem.code == "validation_error":
        return [_fault(path, message) for path, message in _leaves(problem.details)] or [
            _fault((), problem.message)
        ]
    missing = "file" if problem.code == "file_missing" else None
    named = problem.field or missing
    return [_fault((named,) if named else (), problem.message)]


def _fault(path: tuple[str | int, ...], message: str) -> dict[str, Any]:
    names = [NAMES.get(part, part) if isinstance(part, str) else part for part in path]
    place = PLACES.get(str(names[0]), "body") if names else "body"
    return {"loc": [place, *names], "msg": message, "type": _type_of(message)}


def _type_of(message: str) -> str:
    if NOT_SUPPORTED in message:
        return "not_supported"
    return "missing" if message.startswith("Missing data") else "value_error"


def _leaves(
    node: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every message with the path of names and numbers that leads to it."""
    if isinstance(node, Mapping):
        for name, below in node.items():
            is_number = isinstance(name, int) or str(name).isdigit()
            # What is said of a whole object stands beside its fields.
            step = () if name == "_schema" else (int(name) if is_number else str(name),)
            yield from _leaves(below, (*path, *step))
    elif isinstance(node, list | tuple):
        for message in node:
            yield from _leaves(message, path)
    else:
        yield path, str(node)
