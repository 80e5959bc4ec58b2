"""Failures as AssemblyAI writes them."""

from flask import Response, jsonify
from marshmallow import Schema, fields

from api.blueprint import Blueprint
from api.doors.naming import naming
from api.doors.problem import Problem, coarse_status

# As the fields are called here, where a rule of our own names one of ours.
NAMES = {
    "source_url": "audio_url",
    "language": "language_code",
    "model_size": "speech_model",
    "webhook_headers": "webhook_auth_header_name",
}


class AssemblyErrorSchema(Schema):
    """What every failure looks like to AssemblyAI's clients."""

    error = fields.String(required=True)


class AssemblyBlueprint(Blueprint):
    """Documents failures in this API's shape."""

    ERROR_SCHEMA = AssemblyErrorSchema

    def status_of(self, code: str) -> int:
        """Ours, but for what AssemblyAI calls a bad request."""
        return coarse_status(super().status_of(code))


def answer(problem: Problem) -> Response:
    """`{error}`; the message names the field that is at fault."""
    response = jsonify({"error": naming(problem, NAMES)})
    response.status_code = coarse_status(problem.status)
    response.headers.update(problem.headers)
    return response
