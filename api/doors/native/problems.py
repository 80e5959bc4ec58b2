"""Failures as Dalston's native API words them: {error: {code, message, details}}."""

from flask import Response, jsonify

from api.doors.problem import Problem


def answer(problem: Problem) -> Response:
    """The answer for one failure; codes and statuses are our own."""
    details = dict(problem.details)
    if problem.field is not None:
        details.setdefault("option", problem.field)
    body = {"code": problem.code, "message": problem.message, "details": details}
    response = jsonify({"error": body})
    response.status_code = problem.status
    response.headers.update(problem.headers)
    return response
