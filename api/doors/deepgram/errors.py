"""Failures as Deepgram writes them."""

from http import HTTPStatus

from flask import Response, jsonify
from marshmallow import Schema, fields

from api.blueprint import Blueprint
from api.doors.naming import naming
from api.doors.problem import Problem
from formats.doors.deepgram import render_error
from services.log_context import current_request_id

# Deepgram has no 409, 410, 415 or 422: its clients expect 400 for whatever is wrong in a request.
BAD_REQUESTS = (
    HTTPStatus.CONFLICT,
    HTTPStatus.GONE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
# As the parameters are called here, where a rule of our own names one of ours.
NAMES = {"source_url": "url", "model_size": "model", "initial_prompt": "keyterm"}


class DeepgramErrorSchema(Schema):
    """What every failure looks like to Deepgram's clients."""

    err_code = fields.String(required=True, metadata={"example": "INVALID_QUERY_PARAMETER"})
    err_msg = fields.String(required=True)
    request_id = fields.String(required=True)


class DeepgramBlueprint(Blueprint):
    """Documents failures in this API's shape."""

    ERROR_SCHEMA = DeepgramErrorSchema

    def status_of(self, code: str) -> int:
        """Ours, but for what Deepgram calls a bad request."""
        return theirs(super().status_of(code))


def theirs(status: int) -> int:
    """The status that Deepgram would have answered with."""
    return HTTPStatus.BAD_REQUEST if status in BAD_REQUESTS else status


def answer(problem: Problem) -> Response:
    """`{err_code, err_msg, request_id}`; the message names the parameter that is at fault."""
    status = theirs(problem.status)
    message = naming(problem, NAMES)
    response = jsonify(render_error(status, problem.code, message, current_request_id() or ""))
    response.status_code = status
    response.headers.update(problem.headers)
    return response
