"""/v1/single-use-token: entry for one request of a browser, as ElevenLabs' clients ask for it."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView

from api.current import current_principal, current_services
from api.doors.elevenlabs.schemas import ElevenLabsTokenSchema
from api.doors.elevenlabs.views import blp
from api.doors.problem import Refused
from api.schemas.base import NoQuerySchema
from api.scopes import needs
from domain.access import Scope
from services.single_use_tokens import MAX_TTL_S, issue_token

__all__ = ["blp"]  # with all routes of the door on it

SCOPES_OF_TYPE: dict[str, tuple[Scope, ...]] = {
    "batch_scribe": ("submit",),
    "realtime_scribe": ("realtime",),
}


@blp.route("/v1/single-use-token/<string:token_type>")
class SingleUseToken(MethodView):
    """Tokens that are good for one request within 15 minutes."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, ElevenLabsTokenSchema)
    @blp.fails("request_invalid", "option_invalid", "scope_missing", "database_unavailable")
    @needs("any")
    def post(self, _query: dict[str, Any], token_type: str) -> Response:
        """Make a token for one request, as ElevenLabs does; send it as `?token=`.

        Of the types `batch_scribe` and `realtime_scribe`; it may do no more than its maker.
        """
        scopes = SCOPES_OF_TYPE.get(token_type)
        if scopes is None:
            raise Refused("token_type", f"token_type is one of {', '.join(SCOPES_OF_TYPE)} here")
        issued = issue_token(current_services(), current_principal(), scopes, ttl_s=MAX_TTL_S)
        return jsonify(ElevenLabsTokenSchema().dump({"token": issued.token}))
