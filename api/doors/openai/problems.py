"""Failures as OpenAI's clients read them."""

from http import HTTPStatus

from flask import Response, jsonify

from api.doors.problem import Problem
from api.doors.waiting import JOB_HEADER
from formats.doors.openai import error_body

TYPE_OF_STATUS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
OF_FILE = ("file_missing", "upload_too_large")
# Their clients wait for 400 where ours get 422.
STATUS_OF_STATUS: dict[int, int] = {HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}


def status_of(status: int) -> int:
    """The status that this door answers with, for that of the native API."""
    return int(STATUS_OF_STATUS.get(status, status))


def type_of(status: int) -> str:
    """OpenAI's `type` of a failure."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return TYPE_OF_STATUS.get(status, "invalid_request_error")


def body_of(problem: Problem) -> dict[str, object]:
    """`{"error": {message, type, param, code}}`; a bad recording is the field `file`'s fault."""
    is_of_file = problem.code.startswith("audio_") or problem.code in OF_FILE
    param = problem.field or ("file" if is_of_file else None)
    kind = type_of(status_of(problem.status))
    return dict(error_body(problem.message, kind, param, problem.code))


def answer(problem: Problem) -> Response:
    """The answer, with the headers that OpenAI's clients go by when they try again."""
    response = jsonify(body_of(problem))
    response.status_code = status_of(problem.status)
    response.headers.extend(problem.headers)
    job_id = problem.details.get("job_id")
    if job_id is not None:
        response.headers[JOB_HEADER] = str(job_id)
    is_over = job_id is not None  # the job had its attempts, or it goes on without this request
    is_busy = problem.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    is_hopeless = problem.status < HTTPStatus.INTERNAL_SERVER_ERROR and not is_busy
    if is_over or is_hopeless:
        response.headers["X-Should-Retry"] = "false"
        response.headers.pop("Retry-After", None)
    elif problem.retry_after_s is not None:
        response.headers["Retry-After-Ms"] = str(1000 * problem.retry_after_s)
    return response
