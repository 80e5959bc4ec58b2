"""The blueprint of OpenAI's API: failures in its shape, documented and answered."""

from api.blueprint import Blueprint
from api.doors.openai.problems import answer, status_of
from api.doors.openai.schemas import OpenAIErrorSchema
from api.doors.problem import answer_problems
from api.errors import STATUS_OF_CODE

DOOR = "openai"


class OpenAIBlueprint(Blueprint):
    """Documents a code under the status that this door answers it with."""

    ERROR_SCHEMA = OpenAIErrorSchema

    def status_of(self, code: str) -> int:
        """As the native API's, but 400 where that has 422."""
        return status_of(STATUS_OF_CODE[code])


def make_blueprint(name: str, description: str) -> OpenAIBlueprint:
    """A blueprint of this door."""
    blp = OpenAIBlueprint(name, __name__, description=description)
    answer_problems(blp, answer)
    return blp
