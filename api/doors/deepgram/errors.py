"""Failures as Deepgram writes them."""

from flask import Response, jsonify
from marshmallow import Schema, fields

from api.blueprint import Blueprint
from api.doors.naming import naming
from api.doors.problem import Problem, coarse_status
from formats.doors.deepgram import render_error
from services.log_context import current_request_id

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
        return coarse_status(super().status_of(code))


def answer(problem: Problem) -> Response:
    """`{err_code, err_msg, request_id}`; the message names the parameter that is at fault."""
    status = coarse_status(problem.status)
    message = naming(problem, NAMES)
    response = jsonify(render_error(status, problem.code, message, current_request_id() or ""))
    response.status_code = status
    response.headers.update(problem.headers)
    return response
