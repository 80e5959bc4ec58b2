"""Messages that name the field at fault, for APIs whose errors have no place for its name."""

from collections.abc import Mapping

from api.doors.problem import Problem


def naming(problem: Problem, names: Mapping[str, str]) -> str:
    """The message, with the field in front unless it speaks of it already.

    Of a value that the schema refused, the message is what the schema says of it.

    `names` says what that API calls fields that have another name in ours.
    """
    field = names.get(problem.field or "", problem.field)
    reasons = problem.details.get(problem.field or "")
    if problem.code == "validation_error" and isinstance(reasons, list):
        return f"{field}: {' '.join(map(str, reasons))}"
    if field is None or field in problem.message:
        return problem.message
    return f"{field}: {problem.message}"
