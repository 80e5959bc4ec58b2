"""GET /v1/models: the names of models, as OpenAI lists them."""

from typing import Any

from flask.views import MethodView

from api.current import current_services
from api.doors.openai.blueprint import make_blueprint
from api.doors.openai.names import HOSTED_MODELS
from api.doors.openai.schemas import OpenAIModelListSchema, OpenAIModelSchema
from api.schemas.base import NoQuerySchema
from domain.errors import ModelNotFound, OptionInvalid
from services.model_names import ModelName, find_name, list_names

blp = make_blueprint("openai-models", "OpenAI's list of models")

OWNER = "scriptorium"


@blp.route("/v1/models")
class Models(MethodView):
    """All names."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, OpenAIModelListSchema)
    @blp.fails("option_invalid")
    def get(self, _query: dict[str, Any]) -> dict[str, Any]:
        """List every name that `model` may have: sizes of Whisper, and hosted models' names.

        Without `is_installed` the weights are fetched by the first job that asks for them.
        """
        found = list_names(current_services().settings, HOSTED_MODELS)
        return {"object": "list", "data": [_shown(each) for each in found]}


@blp.route("/v1/models/<string:model_id>")
class Model(MethodView):
    """One name."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, OpenAIModelSchema)
    @blp.fails("model_not_found", "option_invalid")
    def get(self, _query: dict[str, Any], model_id: str) -> dict[str, Any]:
        """Look a name up."""
        try:
            return _shown(find_name(current_services().settings, model_id, HOSTED_MODELS))
        except OptionInvalid as error:
            raise ModelNotFound(error.message, option="model") from error


def _shown(found: ModelName) -> dict[str, Any]:
    return {
        "id": found.name,
        "object": "model",
        "created": found.installed_at,
        "owned_by": OWNER,
        "root": found.model_size,
        "is_installed": found.is_installed,
    }
